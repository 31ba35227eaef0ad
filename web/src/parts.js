// The model's file in parts: fetched once, checked, and kept in the browser for all pages and visits.
// IndexedDB and not the Cache API: browsers offer it on a room's plain http addresses, too.

/**
 * @typedef {{ name: string, bytes: number, sha256: string }} Part
 * @typedef {{ title: string, bytes: number, parts: Part[] }} Manifest what the build wrote into model/model.json
 */

const DATABASE = "open-models-lab";
const STORE = "parts";

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} ask
 * @returns {Promise<T>}
 */
async function inStore(mode, ask) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const asked = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? asked.error);
    });
  } finally {
    database.close();
  }
}

/** How many of the model's bytes are in this browser already. @param {Manifest} manifest */
export async function bytesHere(manifest) {
  try {
    const keys = new Set(await inStore("readonly", (store) => store.getAllKeys()));
    return manifest.parts.filter((part) => keys.has(part.sha256)).reduce((sum, part) => sum + part.bytes, 0);
  } catch {
    return 0; // a browser that keeps nothing, as some do in a private window
  }
}

/** Give the browser's space back. */
export async function forget() {
  await inStore("readwrite", (store) => store.clear());
}

/**
 * The whole file as one Blob. Parts that are here are taken from here; what is fetched is kept at once, so that an
 * interrupted download goes on where it stopped.
 *
 * @param {Manifest} manifest
 * @param {string} folder the address of the parts, with a "/" at its end
 * @param {(loaded: number) => void} progress called with the bytes so far
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>}
 */
export async function whole(manifest, folder, progress, signal) {
  const blobs = [];
  let before = 0;
  for (const part of manifest.parts) {
    blobs.push((await kept(part)) ?? (await fetched(part, folder, (bytes) => progress(before + bytes), signal)));
    before += part.bytes;
    progress(before);
  }
  return new Blob(blobs);
}

/** @param {Part} part @returns {Promise<Blob | undefined>} */
async function kept(part) {
  try {
    const blob = await inStore("readonly", (store) => store.get(part.sha256));
    return blob?.size === part.bytes ? blob : undefined;
  } catch {
    return undefined;
  }
}

/** @param {Part} part @param {string} folder @param {(bytes: number) => void} progress @param {AbortSignal} signal */
async function fetched(part, folder, progress, signal) {
  const answer = await fetch(folder + part.name, { signal });
  if (!answer.ok || !answer.body) throw new Error(`${part.name}: the server answered ${answer.status}`);
  const chunks = [];
  let bytes = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    bytes += value.length;
    progress(bytes);
  }
  const blob = new Blob(chunks);
  if (!(await isRight(blob, part))) throw new Error(`${part.name} did not arrive as it was sent`);
  // Where nothing can be kept (a full disk, a private window) the page works all the same, once.
  await inStore("readwrite", (store) => store.put(blob, part.sha256)).catch(() => {});
  return blob;
}

/** Plain http has no crypto.subtle: there only the size is looked at. @param {Blob} blob @param {Part} part */
async function isRight(blob, part) {
  if (blob.size !== part.bytes) return false;
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === part.sha256;
}
