// One message: its text, what can be done with it, and what is known of it.

import { h, icon, iconButton } from "./dom.js";
import { pictureList } from "./pictures.js";
import { copyText, showMarkdown } from "./render.js";
import { TokenText } from "./tokentext.js";

/**
 * The element of a message, and how it is brought up to date.
 * `acts` says what the buttons do: retry, edit, turn, inspect, stop.
 */
export class MessageView {
  constructor(node, acts) {
    this.acts = acts;
    this.reasoning = h("div", { class: "markdown" });
    this.thought = h("details", { class: "thought", hidden: true }, h("summary", {}, "Reasoning"), this.reasoning);
    this.body = h("div", { class: "body" });
    this.foot = h("div", { class: "foot" });
    const name = node.role === "user" ? "You" : "Model";
    this.element = h("li", { class: `message ${node.role}` }, h("h2", { class: "unseen" }, name), this.thought, this.body, this.foot);
  }

  /** Shows a message as it is now. */
  update(node, { version, asTokens, busy }) {
    const tokens = asTokens && node.role === "assistant" && node.tokens?.length;
    this.element.classList.toggle("writing", Boolean(node.writing));
    this.element.setAttribute("aria-busy", String(Boolean(node.writing)));
    this.thought.hidden = !node.reasoning;
    if (node.reasoning) showMarkdown(this.reasoning, node.reasoning);
    if (!this.editing) this.show(node, tokens);
    this.showFoot([...this.notes(node, busy), ...this.buttons(node, version, busy)]);
  }

  /** Other buttons; one that had the focus has it still. */
  showFoot(elements) {
    const focused = this.foot.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    this.foot.replaceChildren(...elements);
    if (focused) this.focusOn(focused);
  }

  focusOn(label) {
    const found = [...this.foot.querySelectorAll("button:enabled")];
    (found.find((one) => one.getAttribute("aria-label") === label) ?? found[0])?.focus();
  }

  show(node, tokens) {
    const kind = tokens ? "tokens" : node.role === "user" ? "plain" : "markdown";
    if (kind !== this.kind) {
      this.kind = kind;
      this.body.className = `body ${kind}`;
      this.body.replaceChildren();
      this.body.blocks = [];
      this.tokenText = tokens ? new TokenText((at) => this.acts.inspect(node, at)) : null;
      if (tokens) this.body.append(this.tokenText.element);
    }
    if (tokens) this.tokenText.show(node.tokens);
    else if (kind === "plain") this.showQuestion(node);
    else showMarkdown(this.body, node.content);
  }

  showQuestion({ content, pictures }) {
    const shown = pictures ? [h("ul", { class: "pictures", "aria-label": "Pictures" }, pictureList(pictures))] : [];
    this.body.replaceChildren(...shown, content);
  }

  notes(node, busy) {
    if (node.error) {
      const again = h("button", { type: "button", disabled: busy, onclick: () => this.acts.retry(node) }, "Try again");
      return [h("p", { class: "fault", role: "alert" }, node.error, again)];
    }
    const said = {
      length: "Cut off at the maximum number of tokens.",
      stopped: "Stopped.",
      unfinished: "This answer is unfinished.",
    };
    return said[node.reason] ? [h("p", { class: "small" }, said[node.reason])] : [];
  }

  buttons(node, version, busy) {
    if (node.writing || this.editing) return [];
    const versions = version.count > 1 ? [this.versions(node, version, busy)] : [];
    // a fault has a button of its own
    if (node.error) return versions.length ? [h("div", { class: "acts" }, versions)] : [];
    const copy = iconButton("copy", "Copy", (event) => this.copy(node, event.currentTarget));
    const own =
      node.role === "user"
        ? iconButton("edit", "Edit", () => this.edit(node), { disabled: busy })
        : iconButton("retry", "Ask again", () => this.acts.retry(node), { disabled: busy });
    return [h("div", { class: "acts" }, versions, node.content ? copy : null, own, facts(node))];
  }

  versions(node, { index, count }, busy) {
    const step = (name, label, by) =>
      iconButton(name, label, () => this.acts.turn(node, by, label), { disabled: busy || index + by < 0 || index + by >= count });
    return h(
      "span",
      { class: "versions", role: "group", "aria-label": "Versions" },
      step("left", "The version before", -1),
      h("span", {}, `${index + 1} / ${count}`),
      step("right", "The next version", 1),
    );
  }

  async copy(node, button) {
    if (!(await copyText(node.content))) return;
    button.replaceChildren(icon("done"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  }

  /** The question in a field; sending it makes another version. */
  edit(node) {
    const field = h("textarea", { "aria-label": "Your message", rows: Math.min(node.content.split("\n").length + 1, 12) });
    field.value = node.content;
    const leave = () => {
      this.editing = false;
      this.kind = "";
      this.acts.refresh();
    };
    const send = () => {
      if (!field.value.trim()) return;
      leave();
      this.acts.edit(node, field.value);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        leave();
      }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    const row = h("p", { class: "row" }, h("button", { type: "button", onclick: leave }, "Cancel"), h("button", { type: "button", class: "strong", onclick: send }, "Send"));
    this.editing = true;
    this.body.className = "body editing";
    this.body.replaceChildren(field, row);
    this.foot.replaceChildren();
    field.focus();
  }
}

/** What an answer took, and the seed with which it is had again. */
function facts(node) {
  if (node.role === "user" || !node.tokens?.length) return null;
  const speed = node.seconds > 0 ? ` · ${(node.tokens.length / node.seconds).toFixed(1)} per second` : "";
  const count = `${node.tokens.length} token${node.tokens.length === 1 ? "" : "s"}`;
  return h("span", { class: "small" }, `${count}${speed} · seed ${node.asked.fields.seed}`);
}
