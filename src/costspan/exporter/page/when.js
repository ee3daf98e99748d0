// Days and instants. A day is a text, 2026-11-21, in the time zone of the ledger; the browser's own zone plays no part.

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function utc(day) {
  return new Date(`${day}T00:00:00Z`);
}

export function plus(day, days) {
  return new Date(utc(day).getTime() + days * DAY_MS).toISOString().slice(0, 10);
}

/** The same place in the period before or after: a day, week or month on. */
export function stepped(period, day, by) {
  if (period === "day") return plus(day, by);
  if (period === "week") return plus(day, 7 * by);
  const first = utc(`${day.slice(0, 8)}01`);
  first.setUTCMonth(first.getUTCMonth() + by);
  return first.toISOString().slice(0, 10);
}

/** All days in [start, end), of answers' instants such as 2026-11-01T00:00:00+01:00. */
export function days(start, end) {
  const found = [];
  for (let day = start.slice(0, 10); day < end.slice(0, 10); day = plus(day, 1)) found.push(day);
  return found;
}

/** All hours in [start, end), as instants: a day has 23 of them, or 25, where clocks are changed. */
export function hours(start, end) {
  const found = [];
  for (let at = Date.parse(start); at < Date.parse(end); at += HOUR_MS) found.push(at);
  return found;
}

function written(at, options) {
  return new Intl.DateTimeFormat("en-GB", options).format(at);
}

export const day = {
  short: (of) => written(utc(of), { timeZone: "UTC", day: "numeric", month: "short" }),
  named: (of) => written(utc(of), { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" }),
  long: (of) => written(utc(of), { timeZone: "UTC", weekday: "long", day: "numeric", month: "long", year: "numeric" }),
  brief: (of) => written(utc(of), { timeZone: "UTC", weekday: "short", day: "numeric" }),
  number: (of) => String(Number(of.slice(8))),
};

/** "November 2026", "Week of 16 November 2026", "Saturday, 21 November 2026". */
export function titled(period, start) {
  const of = start.slice(0, 10);
  if (period === "day") return day.long(of);
  if (period === "month") return written(utc(of), { timeZone: "UTC", month: "long", year: "numeric" });
  return `Week of ${written(utc(of), { timeZone: "UTC", day: "numeric", month: "long", year: "numeric" })}`;
}

export function clock(at, zone, seconds = false) {
  return written(at, { timeZone: zone, hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
}

/** An instant to the second: "21 Nov 2026, 12:00:00". */
export function instant(text, zone) {
  const at = new Date(text);
  return `${written(at, { timeZone: zone, day: "numeric", month: "short", year: "numeric" })}, ${clock(at, zone, true)}`;
}

/** "12 s", "3 min", "5 h", "2 days". */
export function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** First and last day of the period around `of`. */
export function range(period, of) {
  if (period === "day") return [of, of];
  if (period === "month") return [`${of.slice(0, 8)}01`, plus(stepped("month", of, 1), -1)];
  const monday = plus(of, -((utc(of).getUTCDay() + 6) % 7));
  return [monday, plus(monday, 6)];
}
