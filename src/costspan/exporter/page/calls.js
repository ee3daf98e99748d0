// The calls behind a sum, page by page, each with the lines of its bill.

import { ask, Refused } from "./api.js";
import { exactly, grouped, pico, short } from "./amount.js";
import { element, say } from "./element.js";
import { money } from "./money.js";
import { tenantName } from "./scene.js";
import { instant } from "./when.js";

const COLUMNS = ["Time", "Model", "Cost", "In", "Out", "Status", "Feature", "Session", "Bill"];
const NUMBERS = new Set(["Cost", "In", "Out"]);
/** Left out on a phone; the bill tells them. */
const MINOR = new Set(["In", "Out", "Status", "Feature", "Session"]);

/**
 * Returns a table of `calls`. `more(cursor)` gets the next page as {calls, next_cursor}; `link(session, tenant)` is the place
 * of a session, or null where all calls are of one.
 */
export function callTable({ calls, next_cursor: cursor }, { scene, more, link, signal }) {
  const columns = COLUMNS.filter((name) => link || name !== "Session");
  const body = element("tbody", {}, calls.map((call) => lines(call, columns, { scene, link, signal })));
  const older = element("button", { type: "button", class: "more", hidden: cursor === null }, "Older calls");
  const apology = element("p", { class: "problem", role: "alert", hidden: true });
  older.addEventListener("click", async () => {
    older.disabled = true;
    apology.hidden = true;
    try {
      const page = await more(cursor);
      cursor = page.next_cursor;
      body.append(...page.calls.flatMap((call) => lines(call, columns, { scene, link, signal })));
      older.hidden = cursor === null;
      say(`${page.calls.length} more calls`);
    } catch (error) {
      if (!refused(error, signal)) return;
      apology.textContent = error.message;
      apology.hidden = false;
    }
    older.disabled = false;
  });
  const heads = columns.map((name) => element("th", { scope: "col", class: looks(name) }, name));
  return [
    element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Table of calls" },
      element("table", { class: "calls" }, element("caption", { class: "unseen" }, "Calls, the newest first"), element("thead", {}, element("tr", {}, heads)), body)),
    older,
    apology,
  ];
}

function looks(name) {
  return `${NUMBERS.has(name) ? "number" : "text"}${MINOR.has(name) ? " minor" : ""}`;
}

function lines(call, columns, { scene, link, signal }) {
  const bill = element("tr", { class: "bill", hidden: true }, element("td", { colspan: columns.length }));
  const open = element("button", { type: "button", class: "quiet", "aria-expanded": "false" }, "Bill");
  open.setAttribute("aria-label", `Bill of the call of ${instant(call.timestamp, scene.zone)}`);
  open.addEventListener("click", async () => {
    bill.hidden = !bill.hidden;
    open.setAttribute("aria-expanded", String(!bill.hidden));
    if (!bill.hidden && !bill.firstChild.hasChildNodes()) await fill(bill.firstChild, call, signal);
  });
  const cells = {
    Time: element("time", { datetime: call.timestamp }, instant(call.timestamp, scene.zone)),
    Model: [call.model, element("small", {}, call.operation)],
    Cost: money(pico(call.cost_usd)),
    In: [grouped(call.tokens_in), call.cache_read_tokens !== "0" && element("small", {}, `${short(call.cache_read_tokens)} cached`)],
    Out: [grouped(call.tokens_out), call.reasoning_tokens !== "0" && element("small", {}, `${short(call.reasoning_tokens)} reasoning`)],
    Status: element("span", { class: `badge ${call.status}` }, call.status),
    Feature: call.feature ?? "",
    Session: call.session !== null && link ? element("a", { href: link(call.session, call.tenant) }, call.session) : (call.session ?? ""),
    Bill: open,
  };
  const row = columns.map((name, index) =>
    element(index ? "td" : "th", { scope: index ? null : "row", class: looks(name) }, cells[name]),
  );
  return [element("tr", {}, row), bill];
}

async function fill(cell, call, signal) {
  cell.replaceChildren(element("p", { class: "waiting" }, "Asking …"));
  try {
    const found = await ask(`/api/calls/${call.id}`, { at: call.timestamp }, signal);
    cell.replaceChildren(...receipt(found));
  } catch (error) {
    if (refused(error, signal)) cell.replaceChildren(element("p", { class: "problem", role: "alert" }, error.message));
  }
}

function receipt({ call, lines: found }) {
  const heads = [element("th", { scope: "col" }, "What"), element("th", { scope: "col", class: "number" }, "Amount")];
  const rows = found.map((line) => {
    const rate = line.rate_usd === null ? "no price" : `$${line.rate_usd} (${line.layer})`;
    const model = line.model === call.model ? "" : `, ${line.model}`;
    return element("tr", {},
      element("th", { scope: "row" }, `${line.unit.replaceAll("_", " ")}${model}`, element("small", {}, `${grouped(line.quantity)} × ${rate}`)),
      element("td", { class: "number" }, line.amount_usd === null ? "not known" : exactly(pico(line.amount_usd))));
  });
  const facts = [
    ["Cost", call.cost_usd === null ? "not known" : exactly(pico(call.cost_usd))],
    ["Status", call.status],
    ["Tenant", tenantName(call.tenant)],
    ["Session", call.session],
    ["Feature", call.feature],
    ["User", call.user],
    ["Provider", call.provider],
    ["Took", `${grouped(call.duration_ms)} ms`],
    ["Trace", call.trace_id],
    ["Prices", call.price_version],
  ].filter(([, value]) => value !== null && value !== "");
  return [
    element("table", {}, element("caption", { class: "unseen" }, "Lines of the bill"), element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)),
    element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
  ];
}

/** Whether `error` is to be told here; where a token is refused, all of the page is. */
function refused(error, signal) {
  if (signal.aborted) return false;
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401) dispatchEvent(new CustomEvent("refused", { detail: error }));
  return error.status !== 401;
}
