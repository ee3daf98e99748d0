// Amounts as the page shows them: short to read, and exact where that is asked for.

import { briefly, exactly, roughly } from "./amount.js";
import { element } from "./element.js";

let isExact = false;

export function showsExact() {
  return isExact;
}

export function showExact(wish) {
  isExact = wish;
}

export function written(amount) {
  if (amount === null) return "not known";
  return isExact ? exactly(amount) : roughly(amount);
}

/** An amount that nobody can know to the cent, such as a forecast. */
export function estimate(amount) {
  return element("data", { value: exactly(amount).replace(/[$,]/g, "") }, roughly(amount));
}

/** A round amount, such as a budget. */
export function round(amount) {
  return isExact ? exactly(amount) : briefly(amount);
}

/** An amount in the text; what it is exactly is told where it is pointed at. */
export function money(amount, given = {}) {
  if (amount === null) return element("span", { ...given, title: "No price is known" }, "not known");
  const exact = exactly(amount);
  return element("data", { ...given, value: exact.replace(/[$,]/g, "").replace("−", "-"), title: exact }, written(amount));
}
