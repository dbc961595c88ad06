// The messages that are shown, and the scrolling that follows what is written.

import { byId } from "./dom.js";
import { path, version } from "./conversation.js";
import { MessageView } from "./message.js";

const NEAR = 80; // pixels from the end within which the end is followed

export class Thread {
  constructor(acts) {
    this.acts = acts;
    this.views = new Map();
    this.list = byId("thread");
    this.main = byId("main");
  }

  /** Shows a conversation as it is now. */
  show(conversation, state) {
    this.conversation = conversation;
    const nodes = path(conversation);
    const elements = nodes.map((node) => this.view(node).element);
    if (elements.length !== this.list.children.length || elements.some((one, at) => one !== this.list.children[at])) {
      this.list.replaceChildren(...elements);
    }
    for (const node of nodes) this.update(node, state);
  }

  /** Shows one message as it is now. */
  update(node, state) {
    const follow = this.atEnd();
    this.view(node).update(node, { ...state, version: version(this.conversation, node) });
    if (follow) this.toEnd();
  }

  view(node) {
    if (!this.views.has(node.id)) this.views.set(node.id, new MessageView(node, this.acts));
    return this.views.get(node.id);
  }

  /** Forgets the elements of another conversation. */
  clear() {
    this.views.clear();
    this.list.replaceChildren();
  }

  atEnd() {
    return this.main.scrollHeight - this.main.scrollTop - this.main.clientHeight < NEAR;
  }

  toEnd() {
    this.main.scrollTop = this.main.scrollHeight;
  }
}
