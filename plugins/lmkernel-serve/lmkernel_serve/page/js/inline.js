// What stands within a paragraph: code, emphasis, links. Everything else is text.

const MOST_OPEN = 64; // marks that wait for their second; it keeps the time in bounds
const LONGEST_LINK = 2048;
const SAFE = /^(?:https?:\/\/|mailto:)[^\s<>]+$/i;
const BARE = /https?:\/\/[^\s<>"`|]{1,2048}/iy;

/** The parts of a text, as plain objects. */
export function inline(text) {
  const scan = new Scanner(text);
  while (scan.at < text.length) scan.step();
  return scan.end();
}

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.parts = [];
    this.open = []; // {mark, count, index}: delimiters whose second is awaited
    this.unclosed = new Set(); // lengths of runs of backticks that no other run closes
  }

  step() {
    const char = this.text[this.at];
    if (char === "\\") this.escape();
    else if (char === "`") this.code();
    else if (char === "*" || char === "_" || char === "~") this.emphasis(char);
    else if (char === "[" || (char === "!" && this.text[this.at + 1] === "[")) this.openLink(char);
    else if (char === "]") this.closeLink();
    else if (char === "<" || char === "h" || char === "H") this.bareLink(char);
    else this.say(char);
  }

  end() {
    for (const one of this.open) this.literal(one);
    return merged(this.parts);
  }

  say(text, length = text.length) {
    const last = this.parts.at(-1);
    // a mark's place stays a part of its own until it is known what it is
    if (last?.type === "text" && !last.mark) last.text += text;
    else this.parts.push({ type: "text", text });
    this.at += length;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next && /[!-/:-@[-`{-~]/.test(next)) this.say(next, 2);
    else this.say("\\");
  }

  code() {
    const length = this.run("`");
    const begin = this.at + length;
    let close = this.unclosed.has(length) ? -1 : this.text.indexOf("`", begin);
    while (close >= 0) {
      const other = runLength(this.text, close, "`");
      if (other === length) break;
      close = this.text.indexOf("`", close + other);
    }
    if (close < 0) {
      this.unclosed.add(length);
      this.say("`".repeat(length));
      return;
    }
    let inner = this.text.slice(begin, close).replaceAll("\n", " ");
    if (inner.length > 2 && inner.startsWith(" ") && inner.endsWith(" ") && inner.trim()) inner = inner.slice(1, -1);
    this.parts.push({ type: "code", text: inner });
    this.at = close + length;
  }

  run(mark) {
    return runLength(this.text, this.at, mark);
  }

  emphasis(mark) {
    let count = this.run(mark);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + count] ?? " ";
    const inWord = mark === "_" && isWord(before) && isWord(after);
    const opens = /\S/.test(after) && !inWord;
    const closes = /\S/.test(before) && !inWord;
    if (mark === "~" && count !== 2) {
      this.say(mark.repeat(count));
      return;
    }
    this.at += count;
    while (closes && count > 0) {
      const at = this.open.findLastIndex((one) => one.mark === mark && one.count > 0);
      if (at < 0) break;
      const used = Math.min(this.open[at].count, count, 2);
      this.wrap(at, used, { type: mark === "~" ? "del" : used === 2 ? "strong" : "em" });
      count -= used;
    }
    if (count && opens) this.push({ mark, count });
    else if (count) this.say(mark.repeat(count), 0);
  }

  /** A mark that may be closed later; the oldest gives way when there are too many. */
  push(one) {
    if (this.open.length === MOST_OPEN) this.literal(this.open.shift());
    one.index = this.parts.length;
    this.open.push(one);
    this.parts.push({ type: "text", text: "", mark: true });
  }

  literal(one) {
    this.parts[one.index] = { type: "text", text: one.mark.repeat(one.count) };
  }

  /** What stands after an open mark becomes its children. */
  wrap(at, used, node) {
    for (const one of this.open.splice(at + 1)) this.literal(one);
    const opened = this.open[at];
    const children = merged(this.parts.splice(opened.index + 1));
    opened.count -= used;
    if (opened.count <= 0) {
      this.open.pop();
      this.parts.pop();
    }
    this.parts.push({ ...node, children });
  }

  openLink(char) {
    const mark = char === "!" ? "![" : "[";
    this.at += mark.length;
    this.push({ mark, count: 1 });
  }

  closeLink() {
    const at = this.open.findLastIndex((one) => one.mark.endsWith("["));
    const found = at < 0 ? null : destination(this.text, this.at + 1);
    if (!found) {
      if (at >= 0) {
        // it closed nothing, so its bracket opens nothing
        const [one] = this.open.splice(at, 1);
        this.literal(one);
      }
      this.say("]");
      return;
    }
    const image = this.open[at].mark === "![";
    this.at = found.next;
    if (SAFE.test(found.href)) this.wrap(at, 1, { type: "link", href: found.href, image });
    else this.wrap(at, 1, { type: "span" });
  }

  bareLink(char) {
    BARE.lastIndex = this.at + (char === "<" ? 1 : 0);
    const inLink = this.open.some((one) => one.mark.endsWith("["));
    const found = !inLink && !isWord(this.text[this.at - 1] ?? " ") ? BARE.exec(this.text) : null;
    const closed = found && char === "<" && this.text[BARE.lastIndex] === ">";
    if (!found || (char === "<" && !closed)) {
      this.say(char);
      return;
    }
    const href = closed ? found[0] : trimmed(found[0]);
    this.parts.push({ type: "link", href, children: [{ type: "text", text: href }] });
    this.at += href.length + (closed ? 2 : 0);
  }
}

function runLength(text, at, mark) {
  let end = at;
  while (text[end] === mark) end += 1;
  return end - at;
}

const isWord = (char) => /[\p{L}\p{N}]/u.test(char);

/** The address in round brackets, and a title, which is left out. */
function destination(text, at) {
  if (text[at] !== "(") return null;
  let deep = 0;
  for (let end = at; end < Math.min(text.length, at + LONGEST_LINK); end += 1) {
    if (text[end] === "\n") return null;
    if (text[end] === "(") deep += 1;
    else if (text[end] === ")") deep -= 1;
    if (deep === 0) {
      const href = text.slice(at + 1, end).trim().split(/\s/)[0].replace(/^<|>$/g, "");
      return { href, next: end + 1 };
    }
  }
  return null;
}

/** An address without the sentence's own signs at its end. */
function trimmed(href) {
  let end = href.length;
  while (end && ".,;:!?*_~'".includes(href[end - 1])) end -= 1;
  if (href[end - 1] === ")" && !href.slice(0, end).includes("(")) end -= 1;
  return href.slice(0, end);
}

function merged(parts) {
  const found = [];
  for (const part of parts) {
    const last = found.at(-1);
    if (part.type !== "text") found.push(part);
    else if (last?.type === "text") last.text += part.text;
    else if (part.text) found.push({ type: "text", text: part.text });
  }
  return found;
}
