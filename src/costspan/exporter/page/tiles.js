// The figures on top: today, the month, what is looked at, and how far it can be trusted.

import { grouped, length, percent, pico, short } from "./amount.js";
import { Card } from "./card.js";
import { element } from "./element.js";
import { estimate, money, round, written } from "./money.js";
import { question, tenantName } from "./scene.js";
import { day } from "./when.js";

export function tiles(scene) {
  return [today(scene), month(scene), volume(scene), certainty(scene)];
}

export function budgetsOf(scene, round) {
  return round.ask("/api/budgets", { tenant: scene.whose });
}

export function forecastOf(scene, round) {
  return round.ask("/api/forecast", { tenant: scene.whose, service: scene.place.service ?? "all" });
}

function spentIn(period, { place }, round) {
  return round.ask("/api/metrics", { period, tenant: place.tenant, service: place.service ?? "all", group_by: "service" });
}

function today(scene) {
  const load = async (round) => {
    const [sums, budgets, forecast] = await Promise.all([
      spentIn("day", scene, round), budgetsOf(scene, round), forecastOf(scene, round),
    ]);
    const expected = forecast.days.find(({ date }) => date === scene.today)?.cost;
    return { spent: pico(sums.total_cost), budgets: budgets.budgets, expected: pico(expected) };
  };
  const draw = ({ spent, budgets, expected }) => [
    figure(spent),
    budget(scene, budgets, "day"),
    expected !== null && element("p", {}, "Heading for ", estimate(expected), " by the day’s end."),
  ];
  return new Card("Today", { load, draw: visible(draw), isLive: true });
}

function month(scene) {
  const load = async (round) => {
    const [sums, budgets, forecast] = await Promise.all([
      spentIn("month", scene, round), budgetsOf(scene, round), forecastOf(scene, round),
    ]);
    return { spent: pico(sums.total_cost), budgets: budgets.budgets, forecast };
  };
  const draw = ({ spent, budgets, forecast }) => [
    figure(spent),
    budget(scene, budgets, "month"),
    element("p", {}, "Heading for ", estimate(pico(forecast.expected)), interval(forecast), "."),
    forecast.exhausted_on && exhausted(scene, forecast),
  ];
  return new Card("This month", { load, draw: visible(draw), isLive: true });
}

function interval({ low, high, coverage, method_is: method, interval_is: basis }) {
  if (low === null) return [];
  const title = `${Number(coverage) * 100} % of such months end in between. From ${method}; measured by ${basis}.`;
  return element("span", { title }, " (", estimate(pico(low)), " to ", estimate(pico(high)), ")");
}

function exhausted({ today: now }, { exhausted_on: on }) {
  const told = on <= now ? "The month’s budget is spent." : `The month’s budget will be spent on ${day.named(on)}.`;
  return element("p", { class: "warns" }, told);
}

/** How much of a budget is spent; of several tenants, how many are over theirs. */
function budget(scene, budgets, window) {
  if (scene.place.service) return element("p", { class: "faint" }, "Budgets are of all services together.");
  const found = budgets.filter((item) => item.window === window);
  if (scene.whose !== null) return found.slice(0, 1).map((item) => meter(item));
  const over = found.filter((item) => item.is_over).length;
  if (!found.length) return [];
  if (!over) return element("p", { class: "good" }, "No tenant is over its budget.");
  const of = `${grouped(over)} of ${grouped(found.length)} tenants with a budget`;
  return element("p", { class: "warns" }, `${of} ${over === 1 ? "is" : "are"} over it.`);
}

export function meter(item) {
  const [spent, amount] = [pico(item.spent_usd), pico(item.budget_usd)];
  const told = `${percent(spent, amount) || "All"} of ${round(amount)}`;
  const label = `Spent of the ${item.window}’s budget of ${tenantName(item.tenant)}`;
  const part = amount ? length(spent) / length(amount) : 1;
  const looks = item.is_over ? "over" : part >= 0.8 ? "near" : "";
  const inner = element("span");
  inner.style.width = `${Math.min(1, part) * 100}%`;
  const attributes = {
    class: `meter ${looks}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-valuenow": Math.min(100, Math.round(part * 100)), "aria-valuetext": told,
  };
  return [
    element("div", attributes, inner),
    element("p", {}, told, item.is_over && element("strong", { class: "badge over" }, "over budget")),
  ];
}

function volume(scene) {
  const load = async (round) => ({
    sums: await round.ask("/api/metrics", { ...question(scene), group_by: "service" }),
    change: await round.ask("/api/compare", question(scene)),
  });
  const draw = ({ sums, change }) => [
    element("p", { class: "figure" }, grouped(sums.usage_count)),
    element("p", {}, `${short(sums.tokens_in)} tokens in, ${short(sums.tokens_out)} out`),
    compared(scene, change),
  ];
  return new Card("Calls", { load, draw: visible(draw) });
}

/** "Cost 12 % more than the month before, up to the same time". */
function compared({ place }, { relative, difference, before, is_running: isRunning }) {
  if (relative === null || before.count === "0") return [];
  const change = pico(difference);
  const than = `than the ${place.period} before${isRunning ? " at this time" : ""}`;
  if (!change) return element("p", {}, `Cost no more and no less ${than}.`);
  const size = change < 0n ? -change : change;
  const part = percent(size, pico(before.cost));
  const causes = element("span", { title: `Before: ${written(pico(before.cost))}` }, `${part} ${change > 0n ? "more" : "less"}`);
  return element("p", {}, "Cost ", element("strong", { class: change > 0n ? "up" : "down" }, causes), ` ${than}.`);
}

function certainty(scene) {
  const load = (round) => round.ask("/api/metrics", { ...question(scene), group_by: "service" });
  const draw = (sums) => {
    if (sums.usage_count === "0") return [element("p", { class: "figure" }, "—"), element("p", {}, "There was no call.")];
    const uncertain = Object.entries(sums.status).filter(([name, { count }]) => name !== "priced" && count !== "0");
    const open = Object.values(sums.unsettled).reduce((all, number) => all + BigInt(number), 0n);
    return [
      element("p", { class: "figure" }, percent(BigInt(sums.status.priced.count), BigInt(sums.usage_count)) || "0 %"),
      element("p", {}, uncertain.length ? "of calls; the others are:" : "of calls."),
      element("ul", { class: "plain" }, uncertain.map(([name, standing]) => element("li", {}, ...told(name, standing)))),
      open > 0n && element("p", {}, `${grouped(open)} more may have been billed without an answer.`),
    ];
  };
  return new Card("Priced exactly", { load, draw: visible(draw) });
}

const MEANS = {
  estimated: "The provider did not say what was used; it was estimated",
  partial: "A part of the bill has no price: a lower bound",
  unpriced: "Nobody has a price for the model",
  invalid: "What the provider said cannot be",
};

function told(name, { count, cost }) {
  const known = cost === null ? [] : [", ", money(pico(cost))];
  return [element("span", { title: MEANS[name] }, `${grouped(count)} ${name}`), ...known];
}

function figure(amount) {
  return element("p", { class: "figure" }, money(amount));
}

function visible(draw) {
  return (data) => draw(data).flat(2).filter(Boolean);
}
