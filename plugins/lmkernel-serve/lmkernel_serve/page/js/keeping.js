// Small things that the browser keeps. Where it keeps nothing, they last as long as the page.

/** What was kept under a name, or null. */
export function readItem(name) {
  try {
    return localStorage.getItem(`lmkernel.${name}`);
  } catch {
    return null;
  }
}

export function keepItem(name, text) {
  try {
    localStorage.setItem(`lmkernel.${name}`, text);
  } catch {
    // it is not kept
  }
}
