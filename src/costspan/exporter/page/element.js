// Elements of the page. What comes from the ledger only ever becomes text, never markup: names are chosen by others.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an element; `given` are attributes, `onclick` and the like are listeners, null and false are left out. */
export function element(name, given = {}, ...children) {
  return filled(document.createElement(name), given, children);
}

export function svg(name, given = {}, ...children) {
  return filled(document.createElementNS(SVG, name), given, children);
}

function filled(node, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Tells a screen reader, and nobody else. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
