// The server, asked by addresses relative to the page, so that it may lie under any path.

import { events } from "./sse.js";

const KEY = "lmkernel.key";

/** What went wrong, in words for people. */
export class ApiError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind; // gone, key, busy, refused or failed
  }
}

/** The key lies in this tab alone. */
export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export async function getJson(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function postJson(path, body, signal) {
  return (await ask(path, posted(body, signal))).json();
}

/** The chunks of a streamed answer. */
export async function* postStream(path, body, signal) {
  const response = await ask(path, posted({ ...body, stream: true }, signal));
  let done = false;
  try {
    for await (const data of events(response.body)) {
      done ||= data === "[DONE]";
      if (done) continue; // nothing comes after it, but the end
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError("failed", sentence(chunk.error.message));
      yield chunk;
    }
  } catch (error) {
    throw translated(error);
  }
  if (!done) throw new ApiError("gone", "The connection ended before the answer did.");
}

function posted(body, signal) {
  return { method: "POST", body: JSON.stringify(body), signal, headers: { "Content-Type": "application/json" } };
}

async function ask(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    throw translated(error);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

function translated(error) {
  if (error instanceof ApiError || error.name === "AbortError") return error;
  return new ApiError("gone", "The server cannot be reached. Is it still running?");
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const message = sentence(body?.error?.message ?? `The server answered with status ${response.status}.`);
  if (response.status === 401) return new ApiError("key", "The server needs its key.");
  if (response.status === 429) return new ApiError("busy", "The server is busy with others. Try again in a moment.");
  if (response.status === 503) return new ApiError("gone", "The server is stopping.");
  return new ApiError(response.status < 500 ? "refused" : "failed", message);
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
