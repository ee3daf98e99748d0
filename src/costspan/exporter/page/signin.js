// The form that asks for a token.

import { element } from "./element.js";
import { keep } from "./token.js";

/** Returns the form. `problem` is why it is shown, where a token was refused; `enter` is called with a token kept. */
export function signIn(problem, enter) {
  const told = element("p", { class: "problem", id: "why", role: "alert" }, problem ?? "");
  told.hidden = !problem;
  const input = element("input", {
    id: "token", type: "password", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, placeholder: "csp_…",
    "aria-describedby": problem ? "why how" : "how", "aria-invalid": problem ? "true" : null,
  });
  const submit = (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    keep(input.value);
    enter();
  };
  return element("form", { class: "card signin", onsubmit: submit },
    element("h1", { tabindex: "-1" }, "Sign in"),
    told,
    element("label", { for: "token" }, "Token"),
    input,
    element("button", { type: "submit", class: "main" }, "Show the figures"),
    element("p", { id: "how", class: "faint" }, "Made on this server by ", element("code", {}, "costspan token create NAME --admin"), " or ", element("code", {}, "--tenant ID"),
      ". It is kept in this tab only, until you close it. ", element("code", {}, "costspan serve"), " prints a link with one when it starts in a terminal."));
}
