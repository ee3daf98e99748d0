// What is behind a line of the page: a session over its life, or the calls of a model, a feature or a status.

import { ask } from "./api.js";
import { grouped, percent, pico, short } from "./amount.js";
import { address, frame } from "./address.js";
import { callTable } from "./calls.js";
import { Card } from "./card.js";
import { element } from "./element.js";
import { money } from "./money.js";
import { tenantName } from "./scene.js";
import { table } from "./table.js";
import { day, instant, range } from "./when.js";

const PAGE = 50;

export function sessionCards(scene, signal) {
  const { session, tenant } = scene.place;
  const path = `/api/sessions/${encodeURIComponent(session)}`;
  const load = (round) => round.ask(path, { tenant, limit: PAGE });
  const more = (cursor) => ask(path, { tenant, limit: PAGE, cursor }, signal);
  const draw = (found) => callTable(found, { scene, more, link: null, signal });
  const rest = (round) => load(round).catch((error) => {
    if (error.status === 404) return null; // which the first card says
    throw error;
  });
  return [
    ["columns", [new Card("Cost", { load, draw: (found) => life(found, scene) })], [new Card("By model", { load: rest, draw: models })]],
    ["whole", new Card("Calls", { load: rest, draw })],
  ];
}

function life(found, { zone }) {
  const uncertain = Object.entries(found.status).filter(([name, { count }]) => name !== "priced" && count !== "0");
  const facts = [
    ["Calls", grouped(found.usage_count)],
    ["First", instant(found.first_call, zone)],
    ["Last", instant(found.last_call, zone)],
    [found.tenants.length > 1 ? "Tenants" : "Tenant", found.tenants.map(tenantName).join(", ")],
    ["Not priced", uncertain.map(([name, { count }]) => `${grouped(count)} ${name}`).join(", ")],
    ["Calls kept since", found.calls_kept_since && day.long(found.calls_kept_since)],
  ].filter(([, value]) => value);
  return [
    element("p", { class: "figure" }, money(pico(found.total_cost))),
    element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
  ];
}

function models({ breakdown, total_cost: total }) {
  const cost = (row) => pico(row.cost);
  const columns = [
    { name: "Model", key: (row) => row.model, cell: (row) => [row.model, element("small", {}, row.service)] },
    { name: "Cost", kind: "number", key: cost, cell: (row) => money(cost(row)) },
    { name: "Share", kind: "number", isMinor: true, key: cost, cell: (row) => (cost(row) === null ? "" : percent(cost(row), pico(total))) },
    { name: "Calls", kind: "number", key: (row) => BigInt(row.count), cell: (row) => grouped(row.count) },
    { name: "Tokens", kind: "number", isMinor: true, key: (row) => BigInt(row.tokens_in), cell: (row) => `${short(row.tokens_in)} in, ${short(row.tokens_out)} out` },
  ];
  return table({ id: "session-models", caption: "Cost of the session by model", columns, rows: breakdown, sort: [1, true] });
}

export function callCards(scene, signal) {
  const { place } = scene;
  const [from, to] = range(place.period, scene.day);
  const { tenant, service, model, feature, status } = place;
  const asked = { from, to, tenant, service, model, feature, status, limit: PAGE };
  const load = (round) => full(asked, round);
  const more = (cursor) => full({ ...asked, cursor }, { ask: (path, parameters) => ask(path, parameters, signal) });
  const link = (session, whose) => address({ ...frame(place), tenant: scene.isAdmin ? whose : null, session });
  const draw = (found) =>
    found.calls.length ? callTable(found, { scene, more, link, signal }) : element("p", {}, "There was no such call.");
  return [["whole", new Card("Calls", { load, draw })]];
}

/** A page with calls in it: with a filter, the API may answer with fewer, or none, and still have more. */
async function full(asked, round) {
  let found = { calls: [], next_cursor: asked.cursor ?? null };
  for (let tries = 20; tries > 0; tries--) {
    const page = await round.ask("/api/calls", { ...asked, cursor: found.next_cursor });
    found = { calls: [...found.calls, ...page.calls], next_cursor: page.next_cursor };
    if (page.next_cursor === null || found.calls.length >= PAGE / 2) break;
  }
  return found;
}

/** What the view is headed by. */
export function drillTitle({ place, title }) {
  if (place.session !== null) return `Session ${place.session}`;
  const feature = place.feature === "" ? "without a feature" : place.feature && `of ${place.feature}`;
  const words = [place.status, "calls", place.model && `of ${place.model}`, feature].filter(Boolean).join(" ");
  return `${words[0].toUpperCase()}${words.slice(1)}, ${title}`;
}
