// The panel at the side: parameters, or what is inside a token.

import { byId } from "./dom.js";

export class Panel {
  constructor() {
    this.element = byId("panel");
    this.shown = null;
    byId("close-panel").addEventListener("click", () => this.close());
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.close();
    });
  }

  /** Shows elements under a title; `from` has the focus again when the panel is closed. */
  open(name, title, elements, { from, closed = () => null }) {
    if (this.shown) this.closed();
    Object.assign(this, { shown: name, from, closed });
    byId("panel-title").textContent = title;
    byId("panel-body").replaceChildren(...elements);
    this.element.hidden = false;
    byId("panel-title").focus({ preventScroll: true });
  }

  close() {
    if (!this.shown) return;
    this.shown = null;
    this.element.hidden = true;
    this.closed();
    if (this.from?.isConnected) this.from.focus({ preventScroll: true });
  }
}
