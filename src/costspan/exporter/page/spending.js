// What was spent, over time: a chart, and the table behind it.

import { percent, pico, sum } from "./amount.js";
import { address, frame, go } from "./address.js";
import { Card } from "./card.js";
import { chart, legend } from "./chart.js";
import { element } from "./element.js";
import { estimate, money, round } from "./money.js";
import { question } from "./scene.js";
import { table } from "./table.js";
import { budgetsOf, forecastOf } from "./tiles.js";
import { clock, day as named, days, hours } from "./when.js";

export function spending(scene) {
  const { place } = scene;
  const by = place.period === "day" ? "hour" : "day";
  const load = async (round) => {
    const [sums, budgets, forecast] = await Promise.all([
      round.ask("/api/metrics", { ...question(scene), group_by: `${by},service`, limit: 10000 }),
      budgetsOf(scene, round),
      scene.isNow && by === "day" ? forecastOf(scene, round) : null,
    ]);
    return { sums, budgets: budgets.budgets, forecast };
  };
  const draw = ({ sums, budgets, forecast }) => {
    const series = [...new Set(sums.breakdown.map((row) => row.service))].sort();
    const slots = by === "hour" ? byHour(sums, scene) : byDay(sums, forecast, scene);
    const line = by === "day" && !place.service ? limit(scene, budgets) : null;
    const hasExpected = slots.some((slot) => slot.expected);
    const told = element("p", {}, summary(slots, by, sums));
    if (sums.usage_count === "0" && !hasExpected) return scene.isNow ? [told, hint()] : told;
    return [
      told,
      legend(series, { hasExpected, line }),
      chart({ slots, series, line }),
      behind(slots, series, { by, hasExpected }),
    ];
  };
  return new Card(by === "hour" ? "By hour" : "By day", { load, draw, isLive: scene.isNow });
}

/** For who has just begun. */
function hint() {
  const code = element("code", {}, "costspan.instrument()");
  return element("p", { class: "faint" }, "Calls of applications that run ", code, " are here within seconds.");
}

function byDay(sums, forecast, scene) {
  const costs = gathered(sums, "day");
  const expected = new Map((forecast?.days ?? []).filter((item) => item.is_expected).map((item) => [item.date, pico(item.cost)]));
  return days(sums.start, sums.end).map((day) => {
    const { parts = {}, calls = 0n } = costs.get(day) ?? {};
    const place = { ...frame(scene.place), period: "day", date: day };
    const left = expected.has(day) ? expected.get(day) - sum(Object.values(parts)) : 0n;
    const label = scene.place.period === "week" ? named.brief(day) : named.number(day);
    return {
      label, parts, calls, name: named.named(day), expected: left > 0n ? left : null, at: day, href: address(place),
      onclick: () => go(place),
    };
  });
}

function byHour(sums, scene) {
  const costs = gathered(sums, "hour", Date.parse);
  return hours(sums.start, sums.end).map((at) => {
    const label = clock(at, scene.zone);
    return { label, name: label, parts: {}, calls: 0n, ...costs.get(at), expected: null, at };
  });
}

/** Costs by service and calls, of each day or hour. A cost that is not known is nothing to draw. */
function gathered(sums, by, key = (text) => text) {
  const found = new Map();
  for (const row of sums.breakdown) {
    const slot = found.get(key(row[by])) ?? { parts: {}, calls: 0n };
    slot.parts[row.service] = pico(row.cost) ?? 0n;
    slot.calls += BigInt(row.count);
    found.set(key(row[by]), slot);
  }
  return found;
}

function limit({ whose }, budgets) {
  const found = whose === null ? null : budgets.find((item) => item.window === "day");
  if (!found) return null;
  const amount = pico(found.budget_usd);
  return amount ? { amount, label: `budget ${round(amount)} a day` } : null;
}

function summary(slots, by, sums) {
  const total = pico(sums.total_cost);
  if (!total) return total === null ? "What it cost is not known." : "Nothing was spent.";
  const cost = (slot) => sum(Object.values(slot.parts));
  const highest = slots.reduce((most, slot) => (cost(slot) > cost(most) ? slot : most));
  const when = by === "hour" ? `from ${highest.name}` : `on ${highest.name}`;
  return [money(total), ` in all, the most ${when}: `, money(cost(highest)), ` (${percent(cost(highest), total)}).`];
}

function behind(slots, series, { by, hasExpected }) {
  const cost = (slot) => sum(Object.values(slot.parts));
  const columns = [
    { name: by === "hour" ? "Hour" : "Day", key: (slot) => slot.at, cell: (slot) => (slot.href ? element("a", { href: slot.href }, slot.name) : slot.name) },
    { name: "Cost", kind: "number", key: cost, cell: (slot) => money(cost(slot)) },
    ...(series.length > 1 ? series : []).map((name) => ({
      name, kind: "number", isMinor: true, key: (slot) => slot.parts[name] ?? 0n, cell: (slot) => money(slot.parts[name] ?? 0n),
    })),
    { name: "Calls", kind: "number", key: (slot) => slot.calls, cell: (slot) => String(slot.calls) },
    ...(hasExpected
      ? [{ name: "To come", kind: "number", key: (slot) => slot.expected ?? 0n, cell: (slot) => (slot.expected ? estimate(slot.expected) : "") }]
      : []),
  ];
  return element(
    "details",
    {},
    element("summary", {}, "As a table"),
    table({ id: `spending-${by}`, caption: `Cost by ${by}`, columns, rows: slots, first: slots.length, sort: [0, false] }),
  );
}
