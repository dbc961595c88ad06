// The conversations that are kept, the newest first.

import { byId, h, iconButton } from "./dom.js";

export class Sidebar {
  /** `acts`: open(conversation), rename(conversation, title), remove(conversation). */
  constructor(acts) {
    this.acts = acts;
    this.element = byId("sidebar");
    this.opener = byId("open-sidebar");
    this.opener.addEventListener("click", () => this.toggle(!this.opened));
    byId("close-sidebar").addEventListener("click", () => this.toggle(false));
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.opened) return;
      event.preventDefault();
      this.toggle(false);
    });
  }

  get opened() {
    return this.element.classList.contains("opened");
  }

  /** On a narrow screen it lies over the page; on a wide one it is always there. */
  toggle(open) {
    if (open === this.opened) return;
    this.element.classList.toggle("opened", open);
    this.opener.setAttribute("aria-expanded", String(open));
    document.querySelector(".centre").inert = open;
    (open ? byId("close-sidebar") : this.opener).focus();
  }

  show(conversations, current) {
    byId("conversations").replaceChildren(...conversations.map((one) => this.line(one, one.id === current?.id)));
  }

  line(conversation, current) {
    const title = conversation.title || "New chat";
    const open = h("button", { type: "button", class: "title", title, "aria-current": current ? "true" : null, onclick: () => this.open(conversation) }, title);
    const rename = iconButton("edit", `Rename “${title}”`, () => this.rename(conversation, open));
    const remove = iconButton("trash", `Delete “${title}”`, (event) => this.remove(conversation, event.currentTarget));
    return h("li", {}, open, rename, remove);
  }

  open(conversation) {
    this.acts.open(conversation);
    this.toggle(false);
  }

  rename(conversation, button) {
    const field = h("input", { "aria-label": "Title", value: conversation.title, maxlength: 80 });
    let done = false;
    const leave = (keep) => {
      if (done) return;
      done = true;
      this.acts.rename(conversation, keep && field.value.trim() ? field.value.trim() : conversation.title);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") leave(true);
      if (event.key === "Escape") {
        event.stopPropagation();
        leave(false);
      }
    });
    field.addEventListener("blur", () => leave(true));
    button.replaceWith(field);
    field.select();
  }

  /** The second press deletes, so that the first one may be a slip. */
  remove(conversation, button) {
    if (button.dataset.sure) {
      this.acts.remove(conversation);
      return;
    }
    const label = button.getAttribute("aria-label");
    const back = () => {
      delete button.dataset.sure;
      button.setAttribute("aria-label", label);
      button.title = label;
    };
    button.dataset.sure = "yes";
    button.title = "Press again to delete";
    button.setAttribute("aria-label", `Press again to delete “${conversation.title}”`);
    button.addEventListener("blur", back, { once: true });
  }
}
