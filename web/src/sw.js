// Service worker of the live pages: the newest page where there is a network, the kept one where there is none; and
// the headers that isolate a page, so that it may use threads.

const KEPT = "open-models-lab-pages-VERSION";
// All that is small, from the first visit on; the rest is kept when it is first used. The build fills this in.
const FIRST = ["FILES"];

self.addEventListener("install", (event) => {
  const first = caches.open(KEPT).then((kept) => kept.addAll(FIRST));
  /** @type {any} */ (event).waitUntil(first.then(() => /** @type {any} */ (self).skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const worker = /** @type {any} */ (self);
  const old = caches
    .keys()
    .then((names) =>
      Promise.all(
        names
          .filter((name) => name.startsWith("open-models-lab-pages-") && name !== KEPT)
          .map((name) => caches.delete(name)),
      ),
    );
  /** @type {any} */ (event).waitUntil(Promise.all([old, worker.clients.claim()]));
});

self.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const isOurs = new URL(request.url).origin === location.origin;
  // The model's parts are kept by parts.js, checked and piece by piece.
  if (!isOurs || request.method !== "GET" || request.url.includes("/model/part-")) return;
  event.respondWith(answer(request));
});

/** @param {Request} request */
async function answer(request) {
  const kept = await caches.open(KEPT);
  try {
    const fresh = isolated(await fetch(request));
    if (fresh.ok) await kept.put(request, fresh.clone());
    return fresh;
  } catch (problem) {
    const found = await kept.match(request, { ignoreSearch: true });
    if (found) return isolated(found);
    throw problem;
  }
}

/** @param {Response} response */
function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
