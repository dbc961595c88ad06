// Light, dark, or as the system says.

import { byId } from "./dom.js";
import { keepItem } from "./keeping.js";

const ORDER = ["", "light", "dark"];
const NAMES = { "": "as the system", light: "light", dark: "dark" };

export function bindTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const name = () => {
    const label = `Colours: ${NAMES[root.dataset.theme ?? ""]}`;
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "") + 1) % ORDER.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    keepItem("theme", next);
    name();
  });
  name();
}
