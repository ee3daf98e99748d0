// Who and what the money went to: by model, by feature, by tenant, and the most expensive sessions.

import { grouped, length, percent, pico, short } from "./amount.js";
import { address, frame } from "./address.js";
import { Card } from "./card.js";
import { element } from "./element.js";
import { money } from "./money.js";
import { callsOf, question, tenantName } from "./scene.js";
import { bar, table } from "./table.js";

const SESSIONS = 10;

export function byModel(scene) {
  return breakdown(scene, "By model", "model,service", (row) => [
    link(callsOf(scene, { model: row.model, service: row.service }), row.model),
    element("small", {}, row.service),
  ]);
}

export function byFeature(scene) {
  const name = ({ feature }) => link(callsOf(scene, { feature: feature ?? "" }), feature ?? "no feature named", feature === null);
  return breakdown(scene, "By feature", "feature", name);
}

export function byTenant(scene) {
  const name = (row) => link({ ...frame(scene.place), tenant: row.tenant }, tenantName(row.tenant));
  return breakdown(scene, "By tenant", "tenant", name);
}

export function sessions(scene) {
  const isOfMany = scene.isAdmin && scene.place.tenant === null;
  const asked = { ...question(scene), group_by: "session,tenant", limit: SESSIONS + scene.tenants.length };
  const load = (round) => round.ask("/api/metrics", asked);
  const draw = (sums) => {
    const rows = sums.breakdown.filter((row) => row.session !== null).slice(0, SESSIONS);
    if (!rows.length) return element("p", {}, "No call of the time named a session.");
    const name = (row) => [
      link({ ...frame(scene.place), tenant: isOfMany ? row.tenant : scene.place.tenant, session: row.session }, row.session),
      isOfMany && element("small", {}, tenantName(row.tenant)),
    ];
    const columns = [named("Session", name, (row) => row.session), ...figures(pico(sums.total_cost), rows)];
    return table({ id: "sessions", caption: "The most expensive sessions", columns, rows, first: SESSIONS, sort: [1, true] });
  };
  return new Card("Most expensive sessions", { load, draw });
}

function breakdown(scene, title, by, name) {
  const load = (round) => round.ask("/api/metrics", { ...question(scene), group_by: by, limit: 500 });
  const draw = (sums) => {
    if (!sums.breakdown.length) return element("p", {}, "There was no call.");
    const [dimension] = by.split(",");
    const heading = dimension[0].toUpperCase() + dimension.slice(1);
    const columns = [
      named(heading, (row) => (row.isRest ? "all others together" : name(row)), (row) => row[dimension] ?? ""),
      ...figures(pico(sums.total_cost), sums.breakdown),
    ];
    const foot = sums.other && { ...sums.other, isRest: true };
    return table({ id: by, caption: `Cost by ${dimension}`, columns, rows: sums.breakdown, sort: [1, true], foot });
  };
  return new Card(title, { load, draw });
}

function named(name, cell, key) {
  return { name, cell, key };
}

/** Columns of what some calls cost; a bar shows each as a part of the largest. */
function figures(total, rows) {
  const most = rows.reduce((top, row) => Math.max(top, length(pico(row.cost) ?? 0n)), 0);
  const cost = (row) => pico(row.cost);
  const part = (row) => (most ? length(cost(row) ?? 0n) / most : 0);
  return [
    { name: "Cost", kind: "number", key: cost, cell: (row) => [money(cost(row)), doubt(row), bar(part(row))] },
    { name: "Share", kind: "number", isMinor: true, key: cost, cell: (row) => (cost(row) === null ? "" : percent(cost(row), total)) },
    { name: "Calls", kind: "number", key: (row) => BigInt(row.count), cell: (row) => grouped(row.count) },
    {
      name: "Tokens", kind: "number", isMinor: true, key: (row) => BigInt(row.tokens_in) + BigInt(row.tokens_out),
      cell: (row) => short(BigInt(row.tokens_in) + BigInt(row.tokens_out)),
    },
  ];
}

function doubt(row) {
  if (row.not_priced === "0" || row.cost === null) return null;
  const told = `${grouped(row.not_priced)} of ${grouped(row.count)} calls have no certain cost`;
  return element("span", { class: "doubt", title: told }, "≈", element("span", { class: "unseen" }, ` ${told}`));
}

export function link(place, text, isFaint = false) {
  return element("a", { href: address(place), class: isFaint ? "faint" : null }, text);
}
