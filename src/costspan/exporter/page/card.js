// A part of the page that is asked for on its own: what is slow or refused keeps no other part waiting.

import { ask, Refused } from "./api.js";
import { element } from "./element.js";

/** Asks each question once for all cards that need its answer. */
export class Round {
  #asked = new Map();

  constructor(signal) {
    this.signal = signal;
  }

  ask(path, parameters = {}) {
    const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
    const key = JSON.stringify([path, ...given.sort()]);
    if (!this.#asked.has(key)) this.#asked.set(key, ask(path, parameters, this.signal));
    return this.#asked.get(key);
  }
}

export class Card {
  #known = null;
  #data = undefined;

  /**
   * `load(round)` gets the data, `draw(data)` makes nodes of it; null hides the card. `isLive`: what it
   * shows changes by the minute.
   */
  constructor(title, { load, draw, isLive = false }) {
    Object.assign(this, { load, draw, isLive });
    const id = `of-${title.toLowerCase().replace(/\W+/g, "-")}`;
    this.body = element("div", { class: "body" }, element("p", { class: "waiting" }, "Asking …"));
    this.node = element("section", { class: "card", "aria-labelledby": id, "aria-busy": "true" }, element("h2", { id }, title), this.body);
  }

  /** Shows what is so now. Where that is what it shows already, or somebody is busy in it, nothing moves. */
  async show(round, isQuiet = false) {
    try {
      const data = await this.load(round);
      const text = JSON.stringify(data, (_, value) => (typeof value === "bigint" ? String(value) : value));
      if (isQuiet && (text === this.#known || this.node.contains(document.activeElement))) return;
      this.#known = text;
      this.#data = data;
      this.redraw();
    } catch (error) {
      if (round.signal.aborted) return;
      if (error instanceof Refused && error.status === 401) dispatchEvent(new CustomEvent("refused", { detail: error }));
      else if (!isQuiet) this.#apologize(error);
      if (!(error instanceof Refused)) console.error(error);
    }
    this.node.removeAttribute("aria-busy");
  }

  /** Draws what is known once more, as amounts are wished now. */
  redraw() {
    if (this.#data === undefined) return;
    this.node.hidden = this.#data === null;
    if (this.#data !== null) this.body.replaceChildren(...[this.draw(this.#data)].flat());
  }

  #apologize(error) {
    this.#known = null;
    this.#data = undefined;
    this.node.hidden = false;
    const text = error instanceof Refused ? error.message : "this cannot be shown: the browser's console says why";
    const again = () => {
      this.body.replaceChildren(element("p", { class: "waiting" }, "Asking …"));
      this.show(new Round(AbortSignal.timeout(60_000)));
    };
    const told = element("p", { class: "problem", role: "alert" }, `${text[0].toUpperCase()}${text.slice(1)}.`);
    const isForGood = error instanceof Refused && error.status >= 400 && error.status < 429;
    this.body.replaceChildren(told, ...(isForGood ? [] : [element("button", { type: "button", onclick: again }, "Try again")]));
  }
}
