// What the page shows is in its address, so that it can be kept, sent and gone back to. The token is not.

const KNOWN = ["period", "date", "tenant", "service", "session", "calls", "model", "feature", "status"];
const PERIODS = ["day", "week", "month"];

/** What the address asks for. */
export function shown() {
  const given = new URLSearchParams(location.search);
  const place = Object.fromEntries(KNOWN.map((name) => [name, given.get(name)]));
  place.period = PERIODS.includes(place.period) ? place.period : "month";
  place.date = /^\d{4}-\d\d-\d\d$/.test(place.date ?? "") ? place.date : null;
  return place;
}

/** The address of `place`. */
export function address(place) {
  const given = KNOWN.filter((name) => place[name] !== null && place[name] !== undefined).map((name) => [name, place[name]]);
  const told = given.filter(([name, value]) => name !== "period" || value !== "month");
  return told.length ? `/?${new URLSearchParams(told)}` : "/";
}

/** Period, day, tenant and service of `place`, without what is looked at in them. */
export function frame({ period, date, tenant, service }) {
  return { period, date, tenant, service };
}

/** Goes to `place` without asking the server for the page once more. */
export function go(place) {
  history.pushState(null, "", address(place));
  dispatchEvent(new Event("moved"));
}

/** Lets links of the page itself be followed by `go`, unless another tab or window was asked for. */
export function follow(event) {
  const link = event.target.closest?.("a[href^='/?'], a[href='/']");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  dispatchEvent(new Event("moved"));
}
