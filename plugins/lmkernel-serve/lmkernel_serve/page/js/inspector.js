// What is known of one token: how likely it was, what could have stood there, and how it came about.

import { h } from "./dom.js";
import { AttentionView } from "./attention.js";
import { LensView } from "./lens.js";
import { percent, spell } from "./tokens.js";

/**
 * The elements for a token of an answer.
 * `place` is how a server finds it: model, messages, the ids of the answer before it.
 */
export function inspect(token, place, { busy, instead }) {
  const views = [
    ["Alternatives", () => alternatives(token, busy, instead)],
    ["Attention", () => new AttentionView(place).element],
    ["Layers", () => new LensView(place, token).element],
  ];
  return [summary(token), ...tabs(views)];
}

function summary(token) {
  const rank = token.best.findIndex((one) => one.id === token.id) + 1;
  return h(
    "dl",
    { class: "facts" },
    h("div", {}, h("dt", {}, "Probability"), h("dd", {}, percent(Math.exp(token.logprob)))),
    h("div", {}, h("dt", {}, "Log prob."), h("dd", {}, token.logprob.toFixed(4))),
    h("div", {}, h("dt", {}, "Rank"), h("dd", {}, rank ? String(rank) : `> ${token.best.length}`)),
    h("div", {}, h("dt", {}, "Id"), h("dd", {}, String(token.id))),
  );
}

function alternatives(token, busy, instead) {
  const listed = token.best.some((one) => one.id === token.id) ? token.best : [...token.best, token];
  const line = (one) => {
    const own = one.id === token.id;
    const probability = Math.exp(one.logprob);
    const words = [h("code", {}, spell(one)), h("span", { class: "value" }, percent(probability))];
    const style = { "--share": `${probability * 100}%` };
    if (own) return h("li", { class: "bar own", style }, words, h("span", { class: "unseen" }, ", the one in the answer"));
    const label = `Continue with ${spell(one)}, ${percent(probability)}`;
    return h("li", {}, h("button", { type: "button", class: "bar", disabled: busy, "aria-label": label, title: label, style, onclick: () => instead(one) }, words));
  };
  return h("div", {}, h("p", { class: "small" }, "Pick another token, and the model continues from there."), h("ul", { class: "bars" }, listed.map(line)));
}

/** Tabs whose contents are made when they are first shown. */
function tabs(views) {
  const body = h("div", { role: "tabpanel", id: "view", tabindex: "0" });
  const made = new Map();
  const show = (at) => {
    buttons.forEach((one, other) => {
      one.setAttribute("aria-selected", String(other === at));
      one.tabIndex = other === at ? 0 : -1;
    });
    if (!made.has(at)) made.set(at, views[at][1]());
    body.setAttribute("aria-labelledby", buttons[at].id);
    body.replaceChildren(made.get(at));
  };
  const buttons = views.map(([name], at) =>
    h("button", { type: "button", role: "tab", id: `tab-${at}`, "aria-controls": "view", onclick: () => show(at) }, name),
  );
  const list = h("div", { role: "tablist", "aria-label": "What is shown of the token" }, buttons);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const to = (buttons.indexOf(document.activeElement) + by + buttons.length) % buttons.length;
    show(to);
    buttons[to].focus();
  });
  show(0);
  return [list, body];
}
