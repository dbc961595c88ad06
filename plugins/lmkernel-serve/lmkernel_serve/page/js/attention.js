// What the model looked at when it chose a token: a weight for each token before it, by layer and head.

import { postJson } from "./api.js";
import { h } from "./dom.js";
import { pieces, percent, spell } from "./tokens.js";
import { parts } from "./tokentext.js";

const LISTED = 5;
const FIRST = { layer: -1, head: "mean" };
let last = FIRST; // what was looked at stays chosen for the next token of the same model

export class AttentionView {
  constructor(place) {
    this.place = place;
    if (last.model !== place.model) last = { ...FIRST, model: place.model };
    this.layers = new Map();
    this.map = h("div", { class: "map", role: "img" });
    this.most = h("ol", { class: "bars" });
    this.said = h("p", { class: "small", role: "status" });
    this.controls = h("div", { class: "controls" });
    this.element = h("div", {}, h("p", { class: "small" }, "The stronger the colour, the more the model attended to a token when it chose this one."), this.controls, this.said, this.map, this.most);
    this.begin();
  }

  async begin() {
    const found = await this.load(last.layer);
    if (!found) return;
    this.tokens = found.tokens;
    this.drawControls(found);
    this.draw();
    this.map.scrollTop = this.map.scrollHeight; // what was said last is looked at most
  }

  /** The weights of one layer, asked for once. */
  async load(layer) {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.said.textContent = "Computing …";
    this.element.setAttribute("aria-busy", "true");
    try {
      const found = await postJson("lmkernel/attention", { ...this.place, layers: [layer] }, asking.signal);
      const [{ layer: number, heads }] = found.weights;
      this.layers.set(number, heads);
      last.layer = number;
      this.said.textContent = "";
      return found;
    } catch (error) {
      if (error.name !== "AbortError") this.said.textContent = error.message;
      return null;
    } finally {
      if (asking === this.asking) this.element.setAttribute("aria-busy", "false");
    }
  }

  drawControls({ layers, heads }) {
    // people count from 1, as the layers of the lens do
    const shown = h("output", {}, String(last.layer + 1));
    const layer = h("input", { type: "range", min: 1, max: layers, value: last.layer + 1, id: "layer" });
    layer.addEventListener("input", () => (shown.textContent = layer.value));
    layer.addEventListener("change", () => this.choose(Number(layer.value) - 1));
    const options = ["mean", ...Array(heads).keys()].map((one) =>
      h("option", { value: one, selected: String(one) === String(last.head) }, one === "mean" ? "mean of all" : String(one + 1)),
    );
    const head = h("select", { id: "head", onchange: () => { last.head = head.value; this.draw(); } }, options);
    this.controls.replaceChildren(
      h("label", { for: "layer" }, "Layer ", shown), layer,
      h("label", { for: "head" }, "Head"), head,
    );
  }

  async choose(layer) {
    if (this.layers.has(layer)) last.layer = layer;
    else if (!(await this.load(layer))) return;
    this.draw();
  }

  /** Weights beside the first token's, which takes what no other token wants. */
  draw() {
    const heads = this.layers.get(last.layer);
    const weights = heads[last.head] ?? meanOf(heads);
    const top = Math.max(...weights.slice(1), 1e-9);
    const texts = pieces(this.tokens);
    this.map.replaceChildren(
      ...texts.map((text, at) => {
        const shade = Math.sqrt(Math.min(weights[at] / top, 1));
        return h("span", { title: `${spell(this.tokens[at])}  ${percent(weights[at])}`, style: { "--weight": shade }, "data-weight": weights[at] }, parts(text));
      }),
    );
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, LISTED);
    this.map.setAttribute("aria-label", `Weights over ${weights.length} tokens; the largest are listed below`);
    this.most.replaceChildren(...order.map((at) => this.line(at, weights[at])));
  }

  line(at, weight) {
    const words = [h("code", {}, spell(this.tokens[at])), h("span", { class: "small" }, at ? `token ${at}` : "the first token"), h("span", { class: "value" }, percent(weight))];
    return h("li", { class: "bar", style: { "--share": `${weight * 100}%` } }, words);
  }
}

function meanOf(heads) {
  return heads[0].map((_, at) => heads.reduce((sum, head) => sum + head[at], 0) / heads.length);
}
