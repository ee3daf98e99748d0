// The token of this tab. It is never in an address that is kept: a link brings it behind the #, which no server sees and no
// log has, and it is taken out of the address at once. It is gone when the tab is closed.

const NAME = "costspan-token";
let token = stored();

/** Takes the token of a link such as /#token=csp_…; says whether there was one. */
export function take() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  keep(given);
  return true;
}

export function current() {
  return token;
}

export function keep(given) {
  token = given.trim();
  try {
    sessionStorage.setItem(NAME, token);
  } catch {
    // A browser that keeps nothing: this page still knows it until it is left.
  }
}

export function forget() {
  token = "";
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // As above.
  }
}

function stored() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}
