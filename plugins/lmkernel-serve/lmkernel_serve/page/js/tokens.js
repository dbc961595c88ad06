// Tokens with their probabilities, as the server names them and as people read them.

/** What is kept of the log-probabilities of a chunk. */
export function tokensOf(choice) {
  return (choice.logprobs?.content ?? []).map((entry) => ({
    ...plain(entry),
    best: entry.top_logprobs.map(plain),
  }));
}

const plain = ({ id, logprob, bytes }) => ({ id, logprob, bytes });

/** The text of tokens; a character whose bytes are not all there is left out. */
export function textOf(tokens) {
  const bytes = Uint8Array.from(tokens.flatMap((token) => token.bytes));
  return new TextDecoder().decode(bytes, { stream: true });
}

/** What of a text was thought and what was answered, of an answer that has a thought or not. */
export function parted(text, thinks) {
  if (!thinks) return { reasoning: "", content: text };
  const [thought, ...rest] = text.replace(/^\s*<think>/, "").split("</think>");
  return { reasoning: thought.trim(), content: rest.join("</think>").trimStart() };
}

/** What to show for each token: a character is shown at the last of its tokens, the others as bytes. */
export function pieces(tokens) {
  const decoder = new TextDecoder();
  return tokens.map((token) => {
    const text = decoder.decode(Uint8Array.from(token.bytes), { stream: true });
    return text || spellBytes(token.bytes);
  });
}

/** One token by itself, with signs for what cannot be seen. */
export function spell(token) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(token.bytes));
  } catch {
    return spellBytes(token.bytes);
  }
  const seen = text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
  return seen.replace(/[\p{C}\p{Z}]/gu, (char) => `⟨U+${hex(char.codePointAt(0), 4)}⟩`) || "∅";
}

const spellBytes = (bytes) => bytes.map((byte) => `⟨${hex(byte, 2)}⟩`).join("");
const hex = (number, digits) => number.toString(16).toUpperCase().padStart(digits, "0");

/** A probability in words. */
export function percent(probability) {
  const value = probability * 100;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${value.toFixed(value < 1 ? 2 : value < 99.95 ? 1 : 0)} %`;
}
