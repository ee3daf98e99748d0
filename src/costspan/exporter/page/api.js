// Questions to the API of this server.

import { read } from "./amount.js";
import { current } from "./token.js";

const PATIENCE_MS = 60_000;
const TRIES = 3;

/** What the API refused, or why it could not be asked. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * Asks for `path`. Parameters that are null or undefined are left out. Numbers of the answer are texts: see `read`.
 * `signal` ends it. Raises `Refused`; its status is 0 where no server answered.
 */
export async function ask(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const address = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  for (let left = TRIES - 1; ; left--) {
    const answer = await fetched(address, signal);
    const text = await answer.text();
    if (answer.ok) return read(text);
    const wait = Number(answer.headers.get("retry-after"));
    if (answer.status === 429 && left > 0 && wait <= 5) {
      await new Promise((go) => setTimeout(go, 1000 * wait));
    } else {
      throw new Refused(answer.status, detail(answer, text));
    }
  }
}

async function fetched(address, signal) {
  const ends = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])];
  const headers = current() ? { Authorization: `Bearer ${current()}` } : {};
  try {
    return await fetch(address, { headers, signal: AbortSignal.any(ends), cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, error.name === "TimeoutError" ? "the server takes too long to answer" : "the server does not answer");
  }
}

function detail(answer, text) {
  try {
    return read(text).detail || answer.statusText;
  } catch {
    return answer.statusText || `status ${answer.status}`;
  }
}
