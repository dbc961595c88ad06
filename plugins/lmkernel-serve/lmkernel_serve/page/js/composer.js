// Where one writes. Enter sends, Shift+Enter begins a line; while the model answers, the button stops it.

import { announce, byId, icon } from "./dom.js";
import { pictureList, pictureUrl } from "./pictures.js";

export class Composer {
  pictures = [];

  /** `acts`: send(text, pictures), stop(). */
  constructor(acts) {
    this.field = byId("text");
    this.files = byId("files");
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
    byId("attach").addEventListener("click", () => this.files.click());
    this.files.addEventListener("change", () => this.attach([...this.files.files]));
    this.fit();
  }

  /** Whether the model is shown pictures; those that are attached stay until it is. */
  sees(able) {
    byId("attach").hidden = !able;
  }

  async attach(files) {
    this.files.value = "";
    const urls = await Promise.all(files.map(pictureUrl));
    const odd = files.filter((_, at) => !urls[at]).map((file) => file.name);
    if (odd.length) announce(`No pictures: ${odd.join(", ")}`);
    this.showPictures([...this.pictures, ...urls.filter((url) => url)]);
    this.field.focus();
  }

  showPictures(urls) {
    this.pictures = urls;
    const remove = (at) => this.showPictures(this.pictures.filter((_, other) => other !== at));
    byId("attached").replaceChildren(...pictureList(urls, remove));
  }

  submit() {
    const text = this.field.value;
    if (this.busy) this.acts.stop();
    else if (text.trim() && this.acts.send(text, this.pictures)) {
      this.field.value = "";
      this.showPictures([]);
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
