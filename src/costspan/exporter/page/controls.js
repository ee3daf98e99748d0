// What is shown: which day, week or month, whose calls, of which service, and whether amounts have all of their decimals.

import { go, shown } from "./address.js";
import { element } from "./element.js";
import { showExact, showsExact } from "./money.js";
import { tenantName } from "./scene.js";
import { stepped } from "./when.js";

const PERIODS = ["day", "week", "month"];
const SERVICES = ["anthropic", "openai"];

/** Returns the controls for `scene`; `redraw` shows the same with amounts as they are wished now. */
export function controls(scene, redraw) {
  const { place, today, day } = scene;
  if (place.session !== null) return form(exactness(redraw)); // of all of its life, whatever the period
  // From the address, which is ahead of what is shown while that is still asked for: two quick clicks are two steps.
  const to = (changes) => go({ ...shown(), ...changes });
  const at = (date) => to({ date: date === today ? null : date });
  const step = (by) => at(stepped(shown().period, shown().date ?? today, by));
  const button = (id, label, text, by, disabled) =>
    element("button", { id, type: "button", "aria-label": label, title: label, disabled, onclick: () => step(by) }, text);
  return form(
    element("fieldset", { class: "segments" }, element("legend", { class: "unseen" }, "Period"), PERIODS.map((name) => radio(name, place.period, () => to({ period: name })))),
    element("div", { class: "steps" },
      button("before", `${place.period[0].toUpperCase()}${place.period.slice(1)} before`, "‹", -1, false),
      element("input", { id: "date", type: "date", "aria-label": `A day of the ${place.period}`, value: day, min: "2015-01-01", max: "2099-12-31", required: true, onchange: (event) => event.target.value && at(event.target.value) }),
      button("after", `${place.period[0].toUpperCase()}${place.period.slice(1)} after`, "›", 1, scene.isNow),
      element("button", { id: "now", type: "button", hidden: scene.isNow, onclick: () => at(today) }, "Today")),
    scene.isAdmin && select("tenant", "Tenant", "everybody", tenants(scene), place.tenant, (tenant) => to({ tenant })),
    select("service", "Service", "all", SERVICES.map((name) => [name, name]), place.service, (service) => to({ service })),
    exactness(redraw));
}

function form(...parts) {
  return element("form", { class: "controls", "aria-label": "What is shown", onsubmit: (event) => event.preventDefault() }, parts);
}

function exactness(redraw) {
  const onchange = (event) => {
    showExact(event.target.checked);
    redraw();
  };
  return element("label", { class: "switch" }, element("input", { id: "exact", type: "checkbox", checked: showsExact(), onchange }), "Exact amounts");
}

function radio(name, chosen, onchange) {
  const input = element("input", { id: `period-${name}`, type: "radio", name: "period", value: name, checked: name === chosen, onchange });
  return element("label", {}, input, element("span", {}, `${name[0].toUpperCase()}${name.slice(1)}`));
}

function select(id, label, everything, options, chosen, onchange) {
  const node = element("select", { id, onchange: () => onchange(node.value === "" ? null : JSON.parse(node.value)) },
    element("option", { value: "" }, everything),
    options.map(([value, text]) => element("option", { value: JSON.stringify(value), selected: value === chosen }, text)));
  return element("label", { class: "choice" }, element("span", {}, label), node);
}

function tenants({ tenants: found, place }) {
  const all = place.tenant === null || found.includes(place.tenant) ? found : [...found, place.tenant];
  return all.toSorted().map((tenant) => [tenant, tenantName(tenant)]);
}
