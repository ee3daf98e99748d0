// The page: who looks, what is asked for, and the cards that show it.

import { follow, frame, address, shown } from "./address.js";
import { Refused } from "./api.js";
import { byFeature, byModel, byTenant, sessions } from "./breakdown.js";
import { Round } from "./card.js";
import { controls } from "./controls.js";
import { callCards, drillTitle, sessionCards } from "./drill.js";
import { element, say } from "./element.js";
import { budgets, savings, unpriced } from "./insight.js";
import { pipeline } from "./pipeline.js";
import { scene as sceneOf, tenantName } from "./scene.js";
import { signIn } from "./signin.js";
import { spending } from "./spending.js";
import { tiles } from "./tiles.js";
import { current, forget, take } from "./token.js";
import { clock } from "./when.js";

const EVERY_MS = 60_000;
const main = document.getElementById("main");
const bar = document.getElementById("controls");
const leave = document.getElementById("leave");

let under = new AbortController();
let cards = [];
let view = null;
let scene = null;

async function show() {
  under.abort();
  under = new AbortController();
  const { signal } = under;
  main.setAttribute("aria-busy", "true");
  try {
    scene = await sceneOf(shown(), signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refused && error.status === 401) refuse(error);
    else apologize(error);
    return;
  }
  leave.hidden = !current();
  drawControls();
  await draw(signal);
}

async function draw(signal) {
  const { place } = scene;
  const kind = place.session !== null ? "session" : place.calls ? "calls" : "overview";
  const rows = kind === "session" ? sessionCards(scene, signal) : kind === "calls" ? callCards(scene, signal) : overview();
  cards = rows.flatMap(([, ...items]) => items.flat());
  const title = kind === "overview" ? scene.title : drillTitle(scene);
  document.title = `${title} · costspan`;
  const heading = element("h1", { tabindex: "-1" }, title);
  main.replaceChildren(
    element("div", { class: "heading" },
      kind !== "overview" && element("a", { class: "back", href: address(frame(place)) }, "‹ All figures"),
      heading,
      element("p", { class: "faint" }, about(), " · ", element("span", { id: "updated" }), " ", element("button", { type: "button", class: "quiet", onclick: () => refresh() }, "Refresh"))),
    ...rows.map(([looks, ...items]) => element("div", { class: looks }, items.map(placed))));
  if (view !== null && view !== kind) heading.focus();
  view = kind;
  await fill(signal, title);
}

async function fill(signal, title) {
  const round = new Round(signal);
  await Promise.all(cards.map((card) => card.show(round)));
  if (signal.aborted) return;
  stamp();
  main.removeAttribute("aria-busy");
  say(`${title}, ${about()}: shown`);
}

/** Rows of cards, each after its looks; in a row, a list of cards is a column. */
function overview() {
  const isOfMany = scene.isAdmin && scene.place.tenant === null;
  const left = [byModel(scene), sessions(scene), unpriced(scene)];
  const right = [byFeature(scene), isOfMany && byTenant(scene), scene.whose === null && budgets(scene), savings(scene), scene.isAdmin && pipeline(scene)];
  return [["tiles", ...tiles(scene)], ["whole", spending(scene)], ["columns", left, right.filter(Boolean)]];
}

function placed(item) {
  return Array.isArray(item) ? element("div", { class: "column" }, item.map((card) => card.node)) : item.node;
}

function about() {
  const { place, own, isAdmin, zone } = scene;
  const whose = isAdmin ? (place.tenant === null ? "everybody" : tenantName(place.tenant)) : tenantName(own);
  if (place.session !== null) return `${whose} · all of its life · times of ${zone}`;
  return `${whose} · ${place.service ?? "all services"} · days begin in ${zone}`;
}

/** Asks anew. Quietly: only what changes by the minute, and nothing that somebody is busy with. */
async function refresh(isQuiet = false) {
  const { signal } = under;
  const round = new Round(signal);
  await Promise.all(cards.filter((card) => card.isLive || !isQuiet).map((card) => card.show(round, isQuiet)));
  if (signal.aborted) return;
  stamp();
  if (!isQuiet) say("Updated");
}

function stamp() {
  const told = document.getElementById("updated");
  if (told) told.textContent = `updated ${clock(Date.now(), undefined, true)}`;
}

function drawControls() {
  const focused = bar.contains(document.activeElement) ? document.activeElement.id : null;
  bar.replaceChildren(controls(scene, () => cards.forEach((card) => card.redraw())));
  bar.hidden = false;
  if (!focused) return;
  const again = document.getElementById(focused);
  (again && !again.disabled && !again.hidden ? again : document.getElementById("before")).focus();
}

function refuse(error) {
  under.abort();
  const problem = current() ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : null;
  forget();
  ask(problem);
}

function ask(problem) {
  view = "sign in";
  cards = [];
  bar.hidden = true;
  leave.hidden = true;
  document.title = "Sign in · costspan";
  main.removeAttribute("aria-busy");
  main.replaceChildren(signIn(problem, show));
  document.getElementById("token").focus();
}

function apologize(error) {
  if (!(error instanceof Refused)) console.error(error);
  const text = error instanceof Refused ? error.message : "the page failed: the browser's console says why";
  cards = [];
  main.removeAttribute("aria-busy");
  main.replaceChildren(element("div", { class: "card signin" },
    element("h1", { tabindex: "-1" }, "No figures now"),
    element("p", { class: "problem", role: "alert" }, `${text[0].toUpperCase()}${text.slice(1)}.`),
    element("button", { type: "button", class: "main", onclick: show }, "Try again")));
}

leave.addEventListener("click", () => {
  under.abort();
  forget();
  ask(null);
});
document.addEventListener("click", follow);
addEventListener("moved", show);
addEventListener("popstate", show);
addEventListener("hashchange", () => take() && show());
addEventListener("refused", (event) => refuse(event.detail));
setInterval(() => document.visibilityState === "visible" && scene && cards.length && refresh(true), EVERY_MS);
take();
show();
