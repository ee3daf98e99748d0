// Whether calls reach the ledger: what waits, what was put aside, what went wrong.

import { bytes, grouped } from "./amount.js";
import { Card } from "./card.js";
import { element } from "./element.js";
import { instant, span } from "./when.js";

/** Seconds after which what waits, or gauges that are not asked for anew, are no more a matter of course. */
const LATE_S = 60;

export function pipeline(scene) {
  const load = async (round) => (scene.isAdmin ? round.ask("/api/pipeline") : null);
  const draw = (found) => {
    const checks = [waiting(found), asked(found, scene), aside(found), unsettled(found), errors(found)].filter(Boolean);
    const wrong = checks.filter((check) => check.isWrong).length;
    return [
      element("p", { class: wrong ? "warns" : "good" }, wrong ? `${wrong} of ${checks.length} checks need a look.` : "Calls reach the ledger."),
      element("dl", { class: "checks" }, checks.map(line)),
    ];
  };
  return new Card("Pipeline", { load, draw, isLive: true });
}

function line({ name, text, isWrong, help }) {
  const looks = isWrong ? "wrong" : "right";
  return element(
    "div",
    { class: looks },
    element("dt", {}, name),
    element("dd", {}, element("span", { class: "unseen" }, isWrong ? "Needs a look: " : "Fine: "), text, isWrong && help && element("small", {}, help)),
  );
}

function waiting({ journal_bytes: held, journal_oldest_age_s: age }) {
  if (held === null) return null;
  const old = Number(age ?? 0);
  const text = `${old ? `the oldest record for ${span(old)}` : "nothing"}; journals hold ${bytes(held)}`;
  return { name: "Waits for the ledger", text, isWrong: old > LATE_S, help: "The server’s log says why; costspan doctor looks for it." };
}

function asked({ ledger_last_success: last, failed_questions: failed, at }, { zone }) {
  if (last === null && !failed.length) return null;
  const late = last === null ? Infinity : (Date.parse(at) - Date.parse(last)) / 1000;
  const text = failed.length ? `could not tell ${failed.join(", ")}` : `answered at ${instant(last, zone)}`;
  return { name: "Ledger", text, isWrong: failed.length > 0 || late > LATE_S, help: "Alerts see nothing meanwhile." };
}

function aside({ intents }) {
  const is = intents.quarantined !== "0";
  return {
    name: "Put aside", text: is ? `${grouped(intents.quarantined)} records could not be stored` : "nothing", isWrong: is,
    help: "They are kept with the reason: costspan audit.",
  };
}

function unsettled({ intents }) {
  const text = `${grouped(intents.calls)} calls in the ledger, ${grouped(intents.failed)} attempts not billed; of ${grouped(intents.unsettled)} nobody knows`;
  return { name: "Accounted for", text, isWrong: false };
}

function errors({ internal_errors: found }) {
  const some = Object.entries(found).filter(([, number]) => number !== "0");
  const text = some.length ? some.map(([where, number]) => `${grouped(number)} in ${where}`).join(", ") : "none since the server began";
  return { name: "Errors of costspan", text, isWrong: some.length > 0, help: "The server’s log says which." };
}
