// Markdown as models write it, as a tree of plain objects: no HTML goes in or comes out.
// What is not known here is text. Time grows with the length of the text alone.

import { inline } from "./inline.js";

const DEEPEST = 8; // blocks within blocks; what is deeper is text

/** The blocks of a text. */
export function parse(source) {
  return blocks(source.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  const readers = depth < DEEPEST ? [fence, heading, rule, quote, list, table] : [fence];
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    let read = null;
    for (const reader of readers) {
      read = reader(lines, at, depth);
      if (read) break;
    }
    const [node, next] = read ?? paragraph(lines, at);
    found.push(node);
    at = next;
  }
  return found;
}

const isBlank = (line) => line.trim() === "";
const indentOf = (line) => line.length - line.trimStart().length;

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;

/** Code between fences; without a second one, as in the middle of a stream, up to the end. */
function fence(lines, at) {
  const opened = FENCE.exec(lines[at]);
  if (!opened) return null;
  const [, mark, info] = opened;
  const indent = indentOf(lines[at]);
  const text = [];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const bare = lines[next].trim();
    if (bare.length >= mark.length && bare === mark[0].repeat(bare.length)) break;
    text.push(lines[next].slice(Math.min(indent, indentOf(lines[next]))));
  }
  const language = info.trim().split(/\s/)[0];
  return [{ type: "code", language, text: text.join("\n") }, next + 1];
}

function heading(lines, at) {
  const marks = /^ {0,3}(#{1,6})(?=\s|$)/.exec(lines[at]);
  if (!marks) return null;
  let text = lines[at].slice(marks[0].length).trim();
  const closed = text.lastIndexOf(" ");
  const last = text.slice(closed + 1);
  if (last && last === "#".repeat(last.length)) text = text.slice(0, Math.max(closed, 0)).trimEnd();
  return [{ type: "heading", level: marks[1].length, children: inline(text) }, at + 1];
}

function rule(lines, at) {
  return isRule(lines[at]) ? [{ type: "rule" }, at + 1] : null;
}

function isRule(line) {
  const bare = line.replace(/\s+/g, "");
  return bare.length > 2 && "-*_".includes(bare[0]) && bare === bare[0].repeat(bare.length);
}

const QUOTE = /^ {0,3}> ?/;

function quote(lines, at, depth) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  if (next === at) return null;
  const inner = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return [{ type: "quote", blocks: blocks(inner, depth + 1) }, next];
}

const MARKER = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}|$)/;
const LEAST = 2; // spaces by which what belongs to an item is indented; models are not exact

function list(lines, at, depth) {
  const first = MARKER.exec(lines[at]);
  if (!first || isRule(lines[at])) return null;
  const kind = kindOf(first[2]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const marker = MARKER.exec(lines[next]);
    if (!marker || kindOf(marker[2]) !== kind || isRule(lines[next])) break;
    const [inner, end] = itemLines(lines, next, marker[0].length);
    items.push(item(inner, depth));
    next = end;
  }
  const ordered = kind === "." || kind === ")";
  return [{ type: "list", ordered, start: ordered ? parseInt(first[2], 10) : null, items }, next];
}

const kindOf = (marker) => marker[marker.length - 1];

/** The lines of an item, and where the next thing begins. */
function itemLines(lines, at, offset) {
  const inner = [lines[at].slice(offset)];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    if (isBlank(line)) inner.push("");
    else if (indentOf(line) >= LEAST) inner.push(line.slice(Math.min(indentOf(line), offset)));
    else if (!isBlank(lines[next - 1]) && !startsBlock(line)) inner.push(line);
    else break;
  }
  return [inner, next];
}

function item(lines, depth) {
  const box = /^\[([ xX])\] /.exec(lines[0]);
  if (box) lines[0] = lines[0].slice(box[0].length);
  return { checked: box ? box[1] !== " " : null, blocks: blocks(lines, depth + 1) };
}

function startsBlock(line) {
  return FENCE.test(line) || /^ {0,3}#{1,6}(\s|$)/.test(line) || QUOTE.test(line) || MARKER.test(line) || isRule(line);
}

/** A row of names, a row of dashes, and rows with bars. */
function table(lines, at) {
  if (at + 1 >= lines.length || !lines[at].includes("|")) return null;
  const dashes = cells(lines[at + 1]);
  const head = cells(lines[at]);
  if (dashes.length !== head.length || !dashes.every((cell) => /^:?-+:?$/.test(cell))) return null;
  const rows = [];
  let next = at + 2;
  for (; next < lines.length && lines[next].includes("|"); next += 1) {
    const row = cells(lines[next]).slice(0, head.length).map(inline);
    while (row.length < head.length) row.push([]);
    rows.push(row);
  }
  return [{ type: "table", align: dashes.map(alignment), head: head.map(inline), rows }, next];
}

function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return row.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}

function alignment(dashes) {
  if (dashes.endsWith(":")) return dashes.startsWith(":") ? "center" : "right";
  return null;
}

/** Lines up to a blank one or to the beginning of something else. */
function paragraph(lines, at) {
  let next = at + 1;
  while (next < lines.length && !isBlank(lines[next]) && !startsBlock(lines[next])) next += 1;
  const text = lines.slice(at, next).map((line) => line.trim()).join("\n");
  return [{ type: "paragraph", children: inline(text) }, next];
}
