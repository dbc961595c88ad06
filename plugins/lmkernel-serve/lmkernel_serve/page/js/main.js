// The page: its parts, and who tells whom.

import { getJson } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { asMessages, newConversation, path, turn } from "./conversation.js";
import { byId, h } from "./dom.js";
import { inspect } from "./inspector.js";
import { askForKey } from "./key.js";
import { Panel } from "./panel.js";
import { keepItem, readItem } from "./keeping.js";
import { readSettings, settingsForm } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { openStorage } from "./storage.js";
import { bindTheme } from "./theme.js";
import { Thread } from "./thread.js";
import { spell } from "./tokens.js";

const EXAMPLES = ["Explain why the sky is blue, to a child.", "Write a haiku about a slow computer.", "List three uses of a paper clip, as a table."];

class Page {
  settings = readSettings();
  models = [];
  asTokens = false;
  frame = 0;
  changes = new Set();

  async start() {
    this.storage = await openStorage();
    this.chat = new Chat(this);
    this.panel = new Panel();
    this.thread = new Thread({
      retry: (node) => this.run(() => this.chat.retry(node)),
      edit: (node, text) => this.run(() => this.chat.ask(text, node.parent, node.pictures)),
      turn: (node, by, label) => this.turn(node, by, label),
      inspect: (node, at) => this.inspect(node, at),
      refresh: () => this.draw(),
    });
    this.composer = new Composer({ send: (text, pictures) => this.send(text, pictures), stop: () => this.chat.stop() });
    this.sidebar = new Sidebar({ open: (one) => this.open(one), rename: (one, title) => this.rename(one, title), remove: (one) => this.remove(one) });
    this.bind();
    if (!this.storage.lasting) byId("kept").textContent = "This browser keeps nothing: conversations end with the page.";
    this.open(newConversation());
    await this.loadModels();
  }

  bind() {
    bindTheme();
    byId("new").addEventListener("click", () => this.sidebar.open(newConversation()));
    byId("model").addEventListener("change", () => this.chooseModel());
    byId("open-settings").addEventListener("click", (event) => this.toggleSettings(event.currentTarget));
    byId("show-tokens").addEventListener("click", () => this.showTokens(!this.asTokens));
    byId("examples").append(...EXAMPLES.map((text) => h("li", {}, h("button", { type: "button", onclick: () => this.send(text) }, text))));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.chat.busy && !event.defaultPrevented) this.chat.stop();
    });
  }

  // models

  async loadModels() {
    try {
      this.models = (await getJson("lmkernel/models")).data;
      byId("notice").replaceChildren();
    } catch (error) {
      if (error.kind === "key" && (await askForKey())) return this.loadModels();
      this.notice(error.message, () => this.loadModels());
      return null;
    }
    const chatting = this.models.filter((model) => model.generates);
    const last = readItem("model");
    byId("model").replaceChildren(...chatting.map(({ id }) => h("option", { value: id, selected: id === last }, id)));
    if (!chatting.length) this.notice("This server has no model that chats; it makes vectors alone.", () => this.loadModels());
    this.drawModel();
    return this.draw();
  }

  model() {
    return byId("model").value;
  }

  chooseModel() {
    keepItem("model", this.model());
    this.drawModel();
  }

  drawModel() {
    const own = this.models.find((model) => model.id === this.model());
    byId("where").textContent = own ? `${own.backend} · ${own.device} · ${own.dtype}` : "";
    this.composer.sees(Boolean(own?.sees));
  }

  notice(text, again) {
    byId("notice").replaceChildren(h("p", { class: "fault", role: "alert" }, text, h("button", { type: "button", onclick: again }, "Try again")));
  }

  // conversations

  open(conversation) {
    if (conversation.id === this.chat.conversation?.id) return;
    this.chat.stop();
    this.panel.close();
    this.thread.clear();
    this.chat.conversation = conversation;
    this.draw();
    this.thread.toEnd();
    this.focusField();
    this.list();
  }

  /** Not where it would bring a keyboard up that covers half of the page. */
  focusField() {
    if (matchMedia("(hover: hover)").matches) this.composer.field.focus();
  }

  async list() {
    this.sidebar.show(await this.storage.all(), this.chat.conversation);
  }

  async keep(conversation) {
    try {
      await this.storage.save(conversation);
    } catch (error) {
      this.notice(`The browser could not keep this conversation: ${error.message}`, () => this.keep(conversation));
    }
  }

  async save(conversation) {
    await this.keep(conversation);
    await this.list();
  }

  async rename(conversation, title) {
    const own = conversation.id === this.chat.conversation.id ? this.chat.conversation : conversation;
    own.title = title;
    await this.save(own);
  }

  async remove(conversation) {
    await this.storage.remove(conversation.id);
    if (conversation.id === this.chat.conversation.id) this.open(newConversation());
    else await this.list();
  }

  // asking

  /** Whether the question was taken. */
  send(text, pictures) {
    if (this.chat.busy || !this.model()) return false;
    const last = path(this.chat.conversation).at(-1);
    this.run(() => this.chat.ask(text, last?.id ?? null, pictures));
    this.thread.toEnd();
    return true;
  }

  async run(act) {
    if (this.chat.busy) return;
    this.panel.close();
    this.focusField();
    await act();
  }

  /** Another version, where the focus stays on the button that showed it. */
  async turn(node, by, label) {
    turn(this.chat.conversation, node, by);
    this.panel.close();
    this.draw();
    const shown = path(this.chat.conversation).find((one) => one.parent === node.parent);
    this.thread.view(shown).focusOn(label);
    await this.save(this.chat.conversation);
  }

  /** A message has changed; it is drawn once a frame. */
  changed(node) {
    this.changes.add(node);
    this.frame ||= requestAnimationFrame(() => this.drawChanges());
  }

  drawChanges() {
    this.frame = 0;
    const shown = path(this.chat.conversation);
    const known = shown.every((node) => this.thread.views.has(node.id));
    if (!known || [...this.changes].some((node) => !node.writing)) this.draw();
    else for (const node of this.changes) if (shown.includes(node)) this.thread.update(node, this.state());
    this.changes.clear();
    this.composer.show(this.chat.busy);
    byId("welcome").hidden = shown.length > 0;
  }

  async ended(fault) {
    this.draw();
    if (fault?.kind === "key" && (await askForKey())) await this.loadModels();
  }

  state() {
    return { asTokens: this.asTokens, busy: this.chat.busy };
  }

  draw() {
    this.thread.show(this.chat.conversation, this.state());
    this.composer.show(this.chat.busy);
    byId("welcome").hidden = path(this.chat.conversation).length > 0;
  }

  // looking inside

  showTokens(shown) {
    this.asTokens = shown;
    byId("show-tokens").setAttribute("aria-pressed", String(shown));
    if (!shown && this.panel.shown === "token") this.panel.close();
    this.draw();
  }

  toggleSettings(button) {
    if (this.panel.shown === "settings") {
      this.panel.close();
      return;
    }
    const closed = () => button.setAttribute("aria-expanded", "false");
    this.panel.open("settings", "Parameters", [settingsForm(this.settings)], { from: button, closed });
    button.setAttribute("aria-expanded", "true");
  }

  inspect(node, at) {
    const token = node.tokens[at];
    const text = this.thread.view(node).tokenText;
    const messages = asMessages(this.chat.conversation, node.parent, node.asked.system);
    const place = { model: node.asked.model, messages, answer: node.tokens.slice(0, at).map((one) => one.id) };
    const ends = this.models.find((model) => model.id === node.asked.model)?.end_ids ?? [];
    const instead = (other) => this.run(() => this.chat.continueFrom(node, at, other, ends));
    const elements = inspect(token, place, { busy: this.chat.busy, instead });
    this.panel.open("token", `Token ${spell(token)}`, elements, { from: text.element.children[at], closed: () => text.mark(-1) });
    text.mark(at);
  }
}

new Page().start();
