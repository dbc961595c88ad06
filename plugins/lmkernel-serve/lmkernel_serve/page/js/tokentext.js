// An answer as its tokens, each shaded by how likely it was. Arrow keys go from token to token.

import { h } from "./dom.js";
import { pieces, percent, spell } from "./tokens.js";

export class TokenText {
  constructor(choose) {
    this.choose = choose;
    this.shown = 0;
    this.element = h("div", { role: "group", "aria-label": "Tokens; arrow keys go from one to the next, Enter opens one" });
    this.element.addEventListener("click", (event) => this.open(event.target.closest(".token")));
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows tokens, of which there may be more than before. */
  show(tokens) {
    const texts = pieces(tokens);
    for (; this.shown < tokens.length; this.shown += 1) {
      this.element.append(tokenElement(tokens[this.shown], texts[this.shown], this.shown));
    }
  }

  /** Marks the token that is looked at. */
  mark(at) {
    for (const one of this.element.querySelectorAll("[aria-current]")) one.removeAttribute("aria-current");
    this.element.children[at]?.setAttribute("aria-current", "true");
  }

  open(token) {
    if (token) this.choose(Number(token.dataset.at));
  }

  key(event) {
    const token = event.target.closest(".token");
    const to = { ArrowRight: token?.nextSibling, ArrowLeft: token?.previousSibling, Home: this.element.firstChild, End: this.element.lastChild }[event.key];
    if (event.key === "Enter" || event.key === " ") this.open(token);
    else if (!to) return;
    else this.go(token, to);
    event.preventDefault();
  }

  go(from, to) {
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}

const LEAST = Math.log(1000); // a token of 1 in 1000 or less has the strongest colour

function tokenElement(token, text, at) {
  const probability = Math.exp(token.logprob);
  const doubt = Math.min(-token.logprob / LEAST, 1);
  const named = `${spell(token)}, ${percent(probability)}`;
  return h(
    "span",
    { class: "token", role: "button", tabindex: at ? -1 : 0, "data-at": at, "aria-label": named, title: `${named}\n${others(token)}`, style: { "--doubt": doubt } },
    parts(text),
  );
}

/** The space before a word is not shaded; a token of nothing else is, and its lines can be seen. */
export function parts(text) {
  const word = text.trimStart();
  if (word) return [text.slice(0, text.length - word.length), h("span", {}, word)];
  return [h("span", { class: "sign" }, text.replaceAll("\n", "↵\n"))];
}

/** The alternatives, for who points at a token. */
function others(token) {
  return token.best
    .filter((one) => one.id !== token.id)
    .map((one) => `${spell(one)}  ${percent(Math.exp(one.logprob))}`)
    .join("\n");
}
