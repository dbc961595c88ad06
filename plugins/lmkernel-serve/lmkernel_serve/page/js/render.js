// A tree of Markdown as elements.

import { parse } from "./markdown.js";
import { announce, h, iconButton } from "./dom.js";

/** Shows a text in an element; blocks that are as before keep their elements, and what is selected in them. */
export function showMarkdown(target, source) {
  const kept = target.blocks ?? [];
  const fresh = parse(source).map((node) => ({ node, key: JSON.stringify(node) }));
  target.blocks = fresh.map((one, at) => {
    const same = kept[at]?.key === one.key;
    const element = same ? kept[at].element : block(one.node);
    if (kept[at] && !same) kept[at].element.replaceWith(element);
    else if (!kept[at]) target.append(element);
    return { key: one.key, element };
  });
  for (const left of kept.slice(fresh.length)) left.element.remove();
}

const BLOCKS = {
  // a page has a heading of its own, and a message one more
  heading: (node) => h(`h${Math.min(node.level + 2, 6)}`, {}, inlines(node.children)),
  paragraph: (node) => h("p", {}, inlines(node.children)),
  code: codeBlock,
  rule: () => h("hr"),
  quote: (node) => h("blockquote", {}, node.blocks.map(block)),
  list: (node) => h(node.ordered ? "ol" : "ul", { start: node.start }, node.items.map(listItem)),
  table: (node) => h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }, tableOf(node)),
};

const block = (node) => BLOCKS[node.type](node);

function codeBlock(node) {
  const copy = iconButton("copy", "Copy this code", () => copyText(node.text));
  const head = h("div", { class: "code-head" }, h("span", {}, node.language || "code"), copy);
  return h("div", { class: "code" }, head, h("pre", { tabindex: "0" }, h("code", {}, node.text)));
}

function listItem(item) {
  const box = item.checked === null ? null : h("input", { type: "checkbox", disabled: true, checked: item.checked, "aria-label": item.checked ? "done" : "open" });
  return h("li", { class: box ? "task" : null }, box, item.blocks.map(block));
}

function tableOf(node) {
  const cell = (tag) => (children, column) => h(tag, { class: node.align[column] }, inlines(children));
  const rows = node.rows.map((row) => h("tr", {}, row.map(cell("td"))));
  return h("table", {}, h("thead", {}, h("tr", {}, node.head.map(cell("th")))), h("tbody", {}, rows));
}

const INLINES = {
  text: (node) => document.createTextNode(node.text),
  code: (node) => h("code", {}, node.text),
  em: (node) => h("em", {}, inlines(node.children)),
  strong: (node) => h("strong", {}, inlines(node.children)),
  del: (node) => h("del", {}, inlines(node.children)),
  span: (node) => h("span", {}, inlines(node.children)),
  // a picture from elsewhere would tell elsewhere that it was looked at, so it is a link
  link: (node) => h("a", { href: node.href, title: node.href, target: "_blank", rel: "noopener noreferrer nofollow" }, node.children.length ? inlines(node.children) : node.href),
};

const inlines = (nodes) => nodes.map((node) => INLINES[node.type](node));

/** Puts a text on the clipboard, and says so. */
export async function copyText(text) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copySelected(text);
    announce("Copied");
    return true;
  } catch {
    announce("The browser did not let this page copy");
    return false;
  }
}

/** The old way, for a server that speaks plain HTTP to another machine. */
function copySelected(text) {
  const field = h("textarea", { class: "unseen", "aria-hidden": "true" });
  const focused = document.activeElement;
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done) throw new Error("the browser did not copy");
}
