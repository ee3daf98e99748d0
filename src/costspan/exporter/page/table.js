// Tables that are sorted by a click on a column's name, and that show their first rows until all are asked for.

import { element } from "./element.js";

/** How each table is sorted and whether all of it is shown, for as long as the page is open. */
const kept = new Map();

/**
 * Returns a table.
 *
 * A column has a `name`; `cell(row)` gives its content and `key(row)` what it is sorted by (none: it is not sorted by it);
 * `kind` is "number" or "text"; `isMinor` columns are left out on a phone. The first one is each row's name. `sort` is the
 * column and direction at first, as [index, isDescending]. `foot` is a row after all others, shown where these all are.
 */
export function table({ id, caption, columns, rows, first = 8, sort = null, foot = null, isCaptionShown = false }) {
  const state = kept.get(id) ?? { sort, isWhole: false };
  kept.set(id, state);
  const body = element("tbody");
  const more = element("button", { type: "button", class: "quiet more" });
  const rest = foot && element("tfoot", {}, line(columns, foot));
  const heads = columns.map((column, index) => head(column, () => turn(index)));

  function turn(index) {
    const isNumber = columns[index].kind === "number";
    state.sort = [index, state.sort?.[0] === index ? !state.sort[1] : isNumber];
    draw();
  }

  function draw() {
    const ordered = state.sort ? sorted(rows, columns[state.sort[0]].key, state.sort[1]) : rows;
    const visible = state.isWhole ? ordered : ordered.slice(0, first);
    body.replaceChildren(...visible.map((row) => line(columns, row)));
    heads.forEach((node, index) => {
      const order = state.sort?.[0] === index && (state.sort[1] ? "descending" : "ascending");
      if (order) node.setAttribute("aria-sort", order);
      else node.removeAttribute("aria-sort");
    });
    if (rest) rest.hidden = visible.length < rows.length;
    more.hidden = rows.length <= first;
    more.textContent = state.isWhole ? `Show the first ${first} only` : `Show all ${rows.length}`;
  }

  more.addEventListener("click", () => {
    state.isWhole = !state.isWhole;
    draw();
  });
  draw();
  const whole = element(
    "table",
    {},
    element("caption", { class: isCaptionShown ? null : "unseen" }, caption),
    element("thead", {}, element("tr", {}, heads)),
    body,
    rest,
  );
  return [element("div", { class: "scrolls" }, whole), more];
}

function head(column, onclick) {
  const label = column.key ? element("button", { type: "button", onclick }, column.name) : column.name;
  return element("th", { scope: "col", class: classes(column) }, label);
}

function line(columns, row) {
  const cells = columns.map((column, index) =>
    index === 0
      ? element("th", { scope: "row", class: classes(column) }, column.cell(row))
      : element("td", { class: classes(column) }, column.cell(row)),
  );
  return element("tr", {}, cells);
}

function classes({ kind = "text", isMinor = false }) {
  return isMinor ? `${kind} minor` : kind;
}

/** What is not known comes last, whichever way. */
function sorted(rows, key, isDescending) {
  return rows.toSorted((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    const order = a < b ? -1 : a > b ? 1 : 0;
    return isDescending ? -order : order;
  });
}

/** A bar of `part` (0 to 1), beside a number that says the same. */
export function bar(part, kind = "") {
  const inner = element("span");
  inner.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  return element("span", { class: `bar ${kind}`, "aria-hidden": "true" }, inner);
}
