// KV cache and speed: how fast this page writes, what that says about memory, and what a larger model would do here.
import { answering, element, loader, slider } from "./page.js";

const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const measure = element("button", { className: "primary", textContent: "Measure" });
const stop = element("button", { textContent: "Stop", disabled: true });
const length = slider("Tokens of the conversation", 2048, { min: 128, max: 8192, step: 128 });
const output = element("div", { role: "status" });
const cache = element("div", { role: "status" });

/**
 * @typedef {{ title: string, bytes: number, readBytes: number, cacheBytes: number }} Known weights in 4 bits, what a token reads of them, the cache of one token
 * @param {Known[]} models @param {number} tokens
 */
function cacheTable(models, tokens) {
  const rows = models.map(({ title, bytes, cacheBytes }) => [title, gigabytes(bytes), gigabytes(cacheBytes * tokens)]);
  return table(["Model", "weights, 4 bits", `KV cache of ${tokens.toLocaleString("en")} tokens, 16 bits`], rows);
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const line = (/** @type {"th" | "td"} */ kind, /** @type {string[]} */ cells) =>
    element("tr", {}, ...cells.map((textContent) => element(kind, { textContent })));
  return element(
    "table",
    {},
    element("thead", {}, line("th", head)),
    element("tbody", {}, ...rows.map((cells) => line("td", cells))),
  );
}

loader(place, async (engine) => {
  const models = /** @type {Known[]} */ (await (await fetch("model/known.json")).json());
  const own = models[0];
  const showCache = () => cache.replaceChildren(cacheTable(models, length.input.valueAsNumber));
  length.input.addEventListener("input", showCache);
  showCache();
  place.append(
    element("div", { className: "buttons" }, measure, stop),
    output,
    element("h2", { textContent: "What a conversation takes" }),
    length.line,
    cache,
  );
  measure.onclick = answering(
    measure,
    stop,
    async (signal) => {
      output.textContent = "writing 64 tokens ...";
      const ask = /** @type {const} */ ([{ role: "user", content: "Count from one to a hundred, in words." }]);
      const { speed } = await engine.chat([...ask], { maxTokens: 64, signal }, () => {});
      if (!speed || signal.aborted) return void (output.textContent = "Stopped.");
      const perSecond = speed.perSecond * own.bytes;
      const others = models
        .slice(1)
        .map(({ title, bytes, readBytes }) => [
          title,
          gigabytes(bytes),
          `${(perSecond / readBytes).toPrecision(2)} tokens/s at most`,
        ]);
      output.replaceChildren(
        element(
          "p",
          {},
          element("b", { textContent: `${speed.perSecond.toFixed(1)} tokens/s` }),
          ` written on ${engine.place}; the question was read at ${speed.promptPerSecond.toFixed(0)} tokens/s.`,
        ),
        element("p", {
          textContent: `For each token all ${gigabytes(own.bytes)} of weights are read: ${gigabytes(perSecond)} a second. If a larger model were read as fast, with one conversation at a time:`,
        }),
        table(["Model", "weights, 4 bits", "here"], others),
      );
    },
    (problem) => {
      output.textContent = problem;
    },
  );
});
