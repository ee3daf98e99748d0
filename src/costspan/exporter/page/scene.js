// What the page is about: what its address asks for, who looks, and the ledger's own day and time zone.

import { ask } from "./api.js";
import { frame } from "./address.js";
import { titled, range } from "./when.js";

/** The id of calls that name no tenant. */
const NOBODY = "00000000-0000-0000-0000-000000000000";

/** Returns the scene of `place`. Raises `Refused`. */
export async function scene(place, signal) {
  const [day, month] = await Promise.all([
    ask("/api/metrics", { period: "day", group_by: "service" }, signal),
    ask("/api/metrics", { period: "month", group_by: "tenant" }, signal),
  ]);
  const isAdmin = month.tenant === null;
  const tenants = month.breakdown.map((row) => row.tenant);
  const tenant = isAdmin ? place.tenant : null; // a tenant's token sees that tenant, whatever the address says
  const today = day.start.slice(0, 10);
  return {
    place: { ...place, tenant },
    isAdmin,
    tenants,
    today,
    zone: month.timezone,
    own: month.tenant,
    /** The one tenant that all is about, or null. */
    whose: tenant ?? month.tenant ?? (tenants.length === 1 ? tenants[0] : null),
    day: place.date ?? today,
    title: titled(place.period, range(place.period, place.date ?? today)[0]),
    isNow: inside(today, range(place.period, place.date ?? today)),
  };
}

function inside(day, [first, last]) {
  return first <= day && day <= last;
}

/** What is asked of every route that knows a period. */
export function question({ place }) {
  return { period: place.period, date: place.date, tenant: place.tenant, service: place.service ?? "all" };
}

/** The address of the calls behind a line of the page. */
export function callsOf({ place }, filter) {
  return { ...frame(place), calls: "1", ...filter };
}

export function tenantName(tenant) {
  return tenant === NOBODY ? "no tenant named" : tenant;
}
