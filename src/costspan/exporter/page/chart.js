// Bars over time. The drawing is hidden from screen readers: the table behind it says the same, and its days can be followed.

import { length, roughly, sum } from "./amount.js";
import { element, svg } from "./element.js";
import { round, written } from "./money.js";

const HEIGHT = 230;
const TOP = 14;
const BOTTOM = 24;
const TICKS = 4;
const WIDEST = 64;
const UNIT = 10n ** 12n;

/**
 * Returns a chart that fills its place. Of each slot: `label` below it (some are left out where there is no room), `name`,
 * `parts` (an amount of each of `series`), `expected` (an amount that is still to come, or null), `onclick`. `line` is an
 * amount and its `label`, drawn across.
 */
export function chart({ slots, series, line = null }) {
  const readout = element("p", { class: "readout" });
  const place = element("div", { class: "plot", "aria-hidden": "true" }, readout);
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (!now || now === width) return;
    width = now;
    place.replaceChildren(drawing(width, slots, series, line, readout), readout);
  }).observe(place);
  return place;
}

function drawing(width, slots, series, line, readout) {
  const highest = slots.map((slot) => whole(slot)).concat(line ? [line.amount] : []);
  const top = ceiling(highest.reduce((most, amount) => (amount > most ? amount : most), 0n));
  const marks = ticks(top).map((amount) => [amount, amount ? round(amount) : "$0"]);
  const left = 12 + 7 * Math.max(...marks.map(([, text]) => text.length));
  const step = (width - left - 4) / slots.length;
  const y = (amount) => HEIGHT - BOTTOM - (length(amount) / length(top.amount)) * (HEIGHT - TOP - BOTTOM);
  const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, class: "chart" });
  root.append(hatch());
  for (const [amount, text] of marks) {
    root.append(
      svg("line", { class: amount ? "grid" : "axis", x1: left, x2: width, y1: y(amount), y2: y(amount) }),
      svg("text", { class: "tick", x: left - 8, y: y(amount) + 4, "text-anchor": "end" }, text),
    );
  }
  const every = Math.ceil((10 + 7 * Math.max(...slots.map((slot) => slot.label.length))) / step);
  slots.forEach((slot, index) => {
    const thick = Math.min(WIDEST, step - 2 * Math.min(4, step * 0.12));
    root.append(...stack(slot, series, { x: left + (index + 0.5) * step - thick / 2, width: thick, y }));
    if (index % every === 0) {
      root.append(svg("text", { class: "tick", x: left + (index + 0.5) * step, y: HEIGHT - 6, "text-anchor": "middle" }, slot.label));
    }
  });
  if (line) root.append(...across(line, left, width, y(line.amount)));
  slots.forEach((slot, index) => root.append(touch(slot, series, { x: left + index * step, width: step, of: width }, readout)));
  return root;
}

function whole(slot) {
  return sum(Object.values(slot.parts)) + (slot.expected ?? 0n);
}

/** Round amounts for the axis: a step of 1, 2 or 5 times a power of ten, and the first multiple of it that is enough. */
function ceiling(most) {
  let step = 1n;
  for (const factors = [2n, 5n, 10n]; step * BigInt(TICKS) < most; ) {
    const factor = factors.find((by) => step * by * BigInt(TICKS) >= most);
    step *= factor ?? 10n;
  }
  return most ? { step, amount: ((most + step - 1n) / step) * step } : { step: UNIT, amount: UNIT };
}

function ticks({ step, amount }) {
  return Array.from({ length: Number(amount / step) + 1 }, (_, index) => BigInt(index) * step);
}

function stack(slot, series, { x, width, y }) {
  const bars = [];
  let base = 0n;
  const add = (amount, kind) => {
    if (!amount) return;
    const height = y(base) - y(base + amount);
    bars.push(svg("rect", { class: kind, x, width, y: y(base + amount), height: Math.max(height, 0.75) }));
    base += amount;
  };
  series.forEach((name, index) => add(slot.parts[name], `series-${index}`));
  add(slot.expected, "expected");
  return bars;
}

function across({ label }, left, width, at) {
  return [
    svg("line", { class: "limit", x1: left, x2: width, y1: at, y2: at }),
    svg("text", { class: "limit", x: width - 4, y: at - 6, "text-anchor": "end" }, label),
  ];
}

/** What is pointed at: the whole height, as a bar of a cent is hard to hit. */
function touch(slot, series, { x, width, of }, readout) {
  const show = () => {
    const parts = series.filter((name) => slot.parts[name]).map((name) => `${name} ${written(slot.parts[name])}`);
    const expected = slot.expected ? [`${roughly(slot.expected)} to come`] : [];
    const spent = sum(Object.values(slot.parts));
    const told = parts.length || !slot.expected ? [element("strong", {}, written(spent))] : [];
    readout.replaceChildren(element("span", {}, slot.name), ...told, element("span", {}, [...(parts.length > 1 ? parts : []), ...expected].join(" · ")));
    readout.style.left = `${Math.min(Math.max(x + width / 2, 90), of - 90)}px`;
    readout.classList.add("on");
  };
  const hide = () => readout.classList.remove("on");
  return svg("rect", {
    class: slot.onclick ? "touch goes" : "touch", x, width, y: 0, height: HEIGHT - BOTTOM,
    onpointerenter: show, onpointerleave: hide, onclick: slot.onclick ?? show,
  });
}

function hatch() {
  const lines = svg("path", { d: "M0 6 L6 0", class: "hatch" });
  return svg("defs", {}, svg("pattern", { id: "to-come", width: 6, height: 6, patternUnits: "userSpaceOnUse" }, lines));
}

/** What the colours mean. */
export function legend(series, { hasExpected, line }) {
  const entries = series.map((name, index) => element("li", {}, element("span", { class: `swatch series-${index}` }), name));
  if (hasExpected) entries.push(element("li", {}, element("span", { class: "swatch expected" }), "expected"));
  if (line) entries.push(element("li", {}, element("span", { class: "swatch limit" }), line.label));
  return element("ul", { class: "legend" }, entries);
}
