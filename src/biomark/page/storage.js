// Work that survives a reload: documents as they were corrected, in the browser's own database (IndexedDB).

const [DATABASE, WORK, SETTINGS] = ["biomark", "work", "settings"];

/** The work on one set of documents. `name` tells it from other work of the same browser. */
export class Storage {
  #database;

  constructor(name) {
    this.name = name;
    this.#database = opened().catch(() => null);
  }

  /** Keep documents, as [place, JSON text]. Whether the browser has them now. */
  async keep(rows) {
    return this.#run("readwrite", WORK, (store) => {
      for (const [place, text] of rows) store.put(text, [this.name, place]);
    });
  }

  /** Keep new documents, as JSON texts, at the next free places from `first` on; other windows may have taken some. The places, or null. */
  async add(first, texts) {
    const places = [];
    const done = await this.#run("readwrite", WORK, (store) => {
      const taken = store.getAllKeys(this.#range());
      taken.onsuccess = () => {
        const next = taken.result.reduce((free, [, place]) => Math.max(free, place + 1), first);
        for (const [n, text] of texts.entries()) {
          places.push(next + n);
          store.put(text, [this.name, next + n]);
        }
      };
    });
    return done ? places : null;
  }

  /** What was kept, as [place, JSON text]. */
  async kept() {
    let requests = [];
    const done = await this.#run("readonly", WORK, (store) => {
      requests = [store.getAllKeys(this.#range()), store.getAll(this.#range())];
    });
    return done ? requests[0].result.map(([, place], n) => [place, requests[1].result[n]]) : [];
  }

  /** Forget all of this work. */
  async forget() {
    return this.#run("readwrite", WORK, (store) => store.delete(this.#range()));
  }

  async setting(key) {
    let request = null;
    const done = await this.#run("readonly", SETTINGS, (store) => {
      request = store.get(key);
    });
    return done ? request.result : undefined;
  }

  async set(key, value) {
    return this.#run("readwrite", SETTINGS, (store) => store.put(value, key));
  }

  #range() {
    return IDBKeyRange.bound([this.name], [this.name, []]);
  }

  async #run(mode, name, act) {
    const database = await this.#database;
    if (!database) return false;
    return new Promise((resolve) => {
      const transaction = database.transaction(name, mode, { durability: "strict" });
      act(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(true);
      transaction.onabort = transaction.onerror = () => resolve(false);
    });
  }
}

/** A name for a set of documents, made of their content. */
export function fingerprint(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let n = 0; n < text.length; n += 1) {
    a = Math.imul(a ^ text.charCodeAt(n), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(n), 1597334677);
  }
  return `${(a >>> 0).toString(36)}-${(b >>> 0).toString(36)}-${text.length}`;
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => [WORK, SETTINGS].forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
