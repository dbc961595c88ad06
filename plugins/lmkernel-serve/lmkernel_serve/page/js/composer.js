// Where one writes. Enter sends, Shift+Enter begins a line; while the model answers, the button stops it.

import { byId, icon } from "./dom.js";

export class Composer {
  /** `acts`: send(text), stop(). */
  constructor(acts) {
    this.field = byId("text");
    this.button = byId("send");
    this.busy = false;
    this.acts = acts;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => this.fit());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.busy) this.submit();
    });
    this.fit();
  }

  submit() {
    const text = this.field.value;
    if (this.busy) this.acts.stop();
    else if (text.trim() && this.acts.send(text)) {
      this.field.value = "";
      this.fit();
    }
  }

  /** As high as what is written, up to a bound in the style sheet. */
  fit() {
    this.field.style.setProperty("height", "auto");
    this.field.style.setProperty("height", `${this.field.scrollHeight}px`);
    this.button.disabled = !this.busy && !this.field.value.trim();
  }

  show(busy) {
    if (busy !== this.busy) {
      this.busy = busy;
      this.button.replaceChildren(icon(busy ? "stop" : "send"));
      this.button.setAttribute("aria-label", busy ? "Stop" : "Send");
    }
    this.fit();
  }
}
