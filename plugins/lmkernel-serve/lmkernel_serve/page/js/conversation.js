// A conversation is a tree: an edited question and an answer asked for again stand beside the first.
// What is shown is the path that was chosen at each fork.

const ROOT = "";

/** A name that no other thing has; crypto.randomUUID is not there where a server speaks plain HTTP. */
function freshId() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((word) => word.toString(36)).join("-");
}

/** An empty conversation. */
export function newConversation(id = freshId(), now = Date.now()) {
  return { id, title: "", changed: now, nodes: {}, children: {}, chosen: {} };
}

/** Adds a message under another one, or as a first one, and chooses it. */
export function add(conversation, parent, message, id = freshId()) {
  const under = parent ?? ROOT;
  const siblings = (conversation.children[under] ??= []);
  conversation.nodes[id] = { ...message, id, parent: parent ?? null };
  conversation.chosen[under] = siblings.push(id) - 1;
  return conversation.nodes[id];
}

/** The messages that are shown, the first one first. */
export function path(conversation) {
  const found = [];
  for (let under = ROOT; conversation.children[under]?.length; ) {
    const id = conversation.children[under][conversation.chosen[under]];
    found.push(conversation.nodes[id]);
    under = id;
  }
  return found;
}

/** The messages up to one, that one too, the first one first. */
export function upTo(conversation, id) {
  const found = [];
  for (let node = conversation.nodes[id]; node; node = conversation.nodes[node.parent]) found.unshift(node);
  return found;
}

/** Which of how many versions a message is. */
export function version(conversation, node) {
  const siblings = conversation.children[node.parent ?? ROOT];
  return { index: siblings.indexOf(node.id), count: siblings.length };
}

/** Shows the version before a message or after it. */
export function turn(conversation, node, by) {
  const { index, count } = version(conversation, node);
  conversation.chosen[node.parent ?? ROOT] = Math.min(Math.max(index + by, 0), count - 1);
}

/** What a conversation is asked with: the system prompt and the messages up to one; an answer that never began is none. */
export function asMessages(conversation, id, system) {
  const begun = upTo(conversation, id).filter((node) => node.content);
  const said = begun.map(({ role, content, pictures }) => ({ role, content: pictures ? parts(content, pictures) : content }));
  return system ? [{ role: "system", content: system }, ...said] : said;
}

/** A text behind pictures, as OpenAI's interface has them. */
function parts(text, urls) {
  return [...urls.map((url) => ({ type: "image_url", image_url: { url } })), { type: "text", text }];
}

/** A title out of the first question. */
export function titleOf(text) {
  const line = text.trim().split("\n")[0];
  return line.length > 48 ? `${line.slice(0, 47).trimEnd()}…` : line;
}
