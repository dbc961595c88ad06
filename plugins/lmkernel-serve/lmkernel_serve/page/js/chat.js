// What happens when one asks: the answer is streamed into its message, and kept.

import { ApiError, postStream } from "./api.js";
import { announce } from "./dom.js";
import { add, asMessages, titleOf } from "./conversation.js";
import { asFields } from "./settings.js";
import { parted, textOf, tokensOf } from "./tokens.js";

const ALTERNATIVES = 5;
const EACH = 2000; // milliseconds after which a growing answer is kept again

export class Chat {
  /** `page` shows: changed(node) each time, ended(error) once; it has settings, model(), keep() and save(). */
  constructor(page) {
    this.page = page;
    this.conversation = null;
    this.running = null;
  }

  get busy() {
    return this.running !== null;
  }

  /** A question under the last message, and its answer. */
  async ask(text, parent, pictures = []) {
    const conversation = this.conversation;
    const question = add(conversation, parent, { role: "user", content: text, ...(pictures.length ? { pictures } : {}) });
    conversation.title ||= titleOf(text);
    await this.answer(question);
  }

  /** Another answer to the question of this one. */
  async retry(node) {
    await this.answer(this.conversation.nodes[node.parent]);
  }

  /** An answer to a question, beside those it has. */
  async answer(question) {
    const { settings } = this.page;
    const asked = { model: this.page.model(), system: settings.system, fields: asFields(settings) };
    const node = add(this.conversation, question.id, { role: "assistant", content: "", tokens: [], asked });
    await this.write(node, "v1/chat/completions", {});
  }

  /** An answer that goes on as another one would from one of its tokens on, with an alternative in its place. */
  async continueFrom(node, at, alternative, ends) {
    const tokens = [...node.tokens.slice(0, at), { ...alternative, best: node.tokens[at].best }];
    const ended = ends.includes(alternative.id);
    const begun = ended ? tokens.slice(0, at) : tokens;
    const fields = { ...node.asked.fields, ...asFields(this.page.settings) };
    const made = add(this.conversation, node.parent, {
      role: "assistant",
      ...parted(this.begin(node, begun), node.reasoning),
      tokens: begun,
      asked: { ...node.asked, fields },
      reason: ended ? "stop" : null,
    });
    if (ended) await this.keep(made);
    else await this.write(made, "lmkernel/continue", { answer: begun.map((token) => token.id) });
  }

  /** The text of an answer's first tokens; some tokenizers put a space before the first word. */
  begin(node, tokens) {
    const text = textOf(tokens);
    return node.content.startsWith(" ") ? text : text.replace(/^ /, "");
  }

  stop() {
    this.running?.abort();
  }

  async write(node, path, more) {
    const { model, system, fields } = node.asked;
    const messages = asMessages(this.conversation, node.parent, system);
    const body = { model, messages, ...fields, logprobs: true, top_logprobs: ALTERNATIVES, ...more };
    const running = (this.running = new AbortController());
    const { conversation } = this;
    const before = node.tokens.length;
    const began = performance.now();
    let fault = null;
    let kept = began;
    node.writing = true;
    node.reason = "unfinished";
    this.page.changed(node);
    announce("The model answers");
    await this.page.save(conversation);
    try {
      for await (const chunk of postStream(path, body, running.signal)) {
        this.take(node, chunk);
        if (performance.now() - kept < EACH) continue;
        kept = performance.now();
        await this.page.keep(conversation);
      }
      announce("The answer is complete");
    } catch (error) {
      fault = error;
      node.reason = "stopped";
      if (error.name === "AbortError") announce("Stopped");
      else node.error = error instanceof ApiError ? error.message : "The page made a mistake; the browser's console says which.";
      if (node.error && !(error instanceof ApiError)) console.error(error);
    } finally {
      node.seconds = before ? 0 : (performance.now() - began) / 1000;
      node.writing = false;
      this.running = null;
      await this.keep(node, conversation);
      this.page.ended(fault);
    }
  }

  take(node, chunk) {
    const [choice] = chunk.choices;
    if (!choice) return;
    node.content += choice.delta.content ?? "";
    node.reasoning = (node.reasoning ?? "") + (choice.delta.reasoning_content ?? "");
    node.tokens.push(...tokensOf(choice));
    if (choice.finish_reason) node.reason = choice.finish_reason;
    this.page.changed(node);
  }

  async keep(node, conversation = this.conversation) {
    conversation.changed = Date.now();
    this.page.changed(node);
    await this.page.save(conversation);
  }
}
