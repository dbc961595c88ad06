// The logit lens: what each layer would have said, were it the last.

import { postJson } from "./api.js";
import { h } from "./dom.js";
import { percent, spell } from "./tokens.js";

const SHOWN = 3;

export class LensView {
  constructor(place, token) {
    this.token = token;
    this.said = h("p", { class: "small", role: "status" }, "Computing …");
    this.rows = h("div", { class: "table" });
    this.element = h(
      "div",
      { "aria-busy": "true" },
      h("p", { class: "small" }, "Each layer's output, read through the model's final norm and head: its likeliest tokens, and the rank of the one in the answer."),
      this.said,
      this.rows,
    );
    this.begin({ ...place, token: token.id, top: SHOWN });
  }

  async begin(body) {
    try {
      const found = await postJson("lmkernel/lens", body);
      this.said.textContent = "";
      this.rows.replaceChildren(this.table(found.layers));
    } catch (error) {
      this.said.textContent = error.message;
    } finally {
      this.element.setAttribute("aria-busy", "false");
    }
  }

  table(layers) {
    const named = h("tr", {}, h("th", { scope: "col" }, "Layer"), h("th", { scope: "col", colspan: SHOWN }, "Likeliest"), h("th", { scope: "col", title: `The rank of ${spell(this.token)}` }, "Rank"));
    // the last layer is nearest to the answer, so it stands first
    const lines = [...layers].reverse().map((one) => this.line(one));
    return h("table", { class: "lens" }, h("thead", {}, named), h("tbody", {}, lines));
  }

  line({ layer, top, chosen }) {
    const name = h("th", layer ? { scope: "row" } : { scope: "row", title: "What the embedding puts out" }, String(layer));
    const cells = top.map((one) => {
      const probability = Math.exp(one.logprob);
      const own = one.id === this.token.id;
      return h("td", { class: own ? "own" : null, title: `${spell(one)}  ${percent(probability)}`, style: { "--weight": probability } }, h("code", {}, spell(one)));
    });
    const rank = h("td", { class: "rank", title: percent(Math.exp(chosen.logprob)) }, chosen.rank.toLocaleString("en"));
    return h("tr", {}, name, cells, rank);
  }
}
