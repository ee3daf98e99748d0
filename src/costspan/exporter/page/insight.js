// What could be cheaper: caches, sessions that are far out, models without a price, and budgets by how full they are.

import { grouped, percent, pico, short } from "./amount.js";
import { frame } from "./address.js";
import { link } from "./breakdown.js";
import { Card } from "./card.js";
import { element } from "./element.js";
import { money, round } from "./money.js";
import { callsOf, question, tenantName } from "./scene.js";
import { table } from "./table.js";
import { budgetsOf, meter } from "./tiles.js";

export function budgets(scene) {
  const load = async (round) => (scene.whose === null ? budgetsOf(scene, round) : null);
  const draw = ({ budgets: found, everybody }) => {
    if (!found.length) return element("p", {}, "Nobody spent anything this month.");
    const columns = [
      { name: "Tenant", key: (row) => row.tenant, cell: (row) => link({ ...frame(scene.place), tenant: row.tenant }, tenantName(row.tenant)) },
      { name: "Budget", kind: "number", key: (row) => pico(row.budget_usd), cell: (row) => [round(pico(row.budget_usd)), element("small", {}, `a ${row.window}`)] },
      { name: "Spent", kind: "number", key: (row) => pico(row.share), cell: (row) => [money(pico(row.spent_usd)), ...meter(row)] },
    ];
    const day = everybody.find((item) => item.window === "day");
    return [
      ...table({ id: "budgets", caption: "Budgets of tenants, the fullest first", columns, rows: found, first: 6 }),
      day && element("p", { class: "faint" }, `Who has no budget of their own may spend ${round(pico(day.budget_usd))} a day.`),
    ].filter(Boolean);
  };
  return new Card("Budgets", { load, draw, isLive: true });
}

export function savings(scene) {
  const load = (round) => round.ask("/api/savings", { ...question(scene), group_by: "model", limit: 20 });
  const draw = (found) => [...caching(found), ...caches(found), ...far(scene, found.far_sessions)];
  return new Card("Savings", { load, draw });
}

function caching({ prompt_cache: all, by }) {
  const used = by.filter((row) => row.read_tokens !== "0" || row.write_tokens !== "0");
  if (!used.length) return [element("p", {}, "No call used a provider’s prompt cache.")];
  const net = pico(all.net);
  const columns = [
    { name: "Model", key: (row) => row.model, cell: (row) => row.model },
    { name: "Read", kind: "number", isMinor: true, key: (row) => BigInt(row.read_tokens), cell: (row) => short(row.read_tokens) },
    { name: "Written", kind: "number", isMinor: true, key: (row) => BigInt(row.write_tokens), cell: (row) => short(row.write_tokens) },
    ...(pico(all.unrecovered) ? [{ name: "Never paid back", kind: "number", key: (row) => pico(row.unrecovered), cell: (row) => money(pico(row.unrecovered)) }] : []),
    { name: "Saved", kind: "number", key: (row) => pico(row.net), cell: (row) => money(pico(row.net)) },
  ];
  return [
    element("p", {}, net < 0n ? "Prompt caches cost " : "Prompt caches saved ", element("strong", {}, money(net < 0n ? -net : net)), net < 0n ? " more than they saved." : ", what writing them cost already taken off."),
    ...table({ id: "caching", caption: "Prompt caches by model", columns, rows: used, first: 5 }),
    all.unknown_tokens !== "0" && element("p", { class: "faint" }, `Of ${short(all.unknown_tokens)} more tokens the bills do not tell it.`),
  ].filter(Boolean);
}

function caches({ caches: found }) {
  return found.map((row) => {
    const lookups = BigInt(row.hits) + BigInt(row.misses);
    const name = row.model ? `${row.cache} (${row.model})` : row.cache;
    return element("p", {}, `Cache ${name}: ${percent(BigInt(row.hits), lookups) || "0 %"} of ${grouped(lookups)} look-ups hit, which avoided `, element("strong", {}, money(pico(row.avoided))), ".");
  });
}

function far(scene, found) {
  if (found === null || found.count === "0") return []; // null: calls of the time were dropped
  const { count, factor, sessions } = found;
  const rows = sessions.slice(0, 5).map((row) =>
    element("li", {}, link({ ...frame(scene.place), tenant: scene.isAdmin ? row.tenant : null, session: row.session }, row.session), ": ", money(pico(row.cost)), `, ${grouped(row.times.split(".")[0])} times the median`),
  );
  const told = count === "1" ? "One session" : `${grouped(count)} sessions`;
  return [element("p", {}, `${told} cost more than ${factor} times the median of their tenant:`), element("ul", {}, rows)];
}

export function unpriced(scene) {
  const load = async (round) => {
    const sums = await round.ask("/api/metrics", { ...question(scene), group_by: "service" });
    if (!sums.unpriced_models.length) return { rows: [] };
    const all = await round.ask("/api/metrics", { ...question(scene), group_by: "model,service,status", limit: 10000 });
    return { rows: all.breakdown.filter((row) => row.status === "unpriced") };
  };
  const draw = ({ rows }) => {
    if (!rows.length) return element("p", { class: "good" }, "Every model that was called has a price.");
    const columns = [
      { name: "Model", key: (row) => row.model, cell: (row) => [link(callsOf(scene, { model: row.model, service: row.service, status: "unpriced" }), row.model), element("small", {}, row.service)] },
      { name: "Calls", kind: "number", key: (row) => BigInt(row.count), cell: (row) => grouped(row.count) },
      { name: "Tokens", kind: "number", key: (row) => BigInt(row.tokens_in) + BigInt(row.tokens_out), cell: (row) => short(BigInt(row.tokens_in) + BigInt(row.tokens_out)) },
    ];
    return [
      element("p", { class: "warns" }, "Nobody has a price for these models. Their calls are in no sum of money."),
      ...table({ id: "unpriced", caption: "Models without a price", columns, rows, sort: [1, true] }),
      element("p", { class: "faint" }, "Give them a price in the file that ", element("code", {}, "COSTSPAN_PRICES"), " names, and run ", element("code", {}, "costspan reprice"), "."),
    ];
  };
  return new Card("Unpriced models", { load, draw });
}
