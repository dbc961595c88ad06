// Conversations, kept by the browser. Where it keeps nothing, they last as long as the page.

const NAME = "lmkernel";
const STORE = "conversations";

/** Opens what is kept; `lasting` says whether the browser keeps anything. */
export async function openStorage() {
  try {
    return new Kept(await openDatabase());
  } catch {
    return new Memory();
  }
}

function openDatabase() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return result(request);
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Kept {
  lasting = true;
  constructor(database) {
    this.database = database;
  }
  store(mode) {
    return this.database.transaction(STORE, mode).objectStore(STORE);
  }
  async all() {
    return newest(await result(this.store("readonly").getAll()));
  }
  save(conversation) {
    return result(this.store("readwrite").put(conversation));
  }
  remove(id) {
    return result(this.store("readwrite").delete(id));
  }
}

class Memory {
  lasting = false;
  kept = new Map();
  async all() {
    return newest(structuredClone([...this.kept.values()]));
  }
  async save(conversation) {
    this.kept.set(conversation.id, structuredClone(conversation));
  }
  async remove(id) {
    this.kept.delete(id);
  }
}

const newest = (conversations) => conversations.sort((a, b) => b.changed - a.changed);
