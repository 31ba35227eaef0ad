// Sampling playground: what may come next, and what temperature, top-k, top-p and min-p leave of it.
import { MOST_CANDIDATES } from "./engine.js";
import { element, loader, reason, row, slider } from "./page.js";
import { draw, greedy } from "./sampling.js";
import { visible } from "./tokens.js";

const SHOWN = 12;
const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const prompt = element("input", { type: "text", value: "The capital of Japan is", autocomplete: "off" });
const temperature = slider("Temperature", 1, { min: 0, max: 2, step: 0.05 });
const topK = slider("Top-k (0: off)", 0, { min: 0, max: 100, step: 1 });
const topP = slider("Top-p (1: off)", 1, { min: 0.05, max: 1, step: 0.01 });
const minP = slider("Min-p (0: off)", 0, { min: 0, max: 0.5, step: 0.01 });
const output = element("div", { role: "status" });

loader(place, async (engine) => {
  const fragments = /** @type {number[]} */ (await (await fetch("model/fragments.json")).json());
  let asked = "";
  let candidates = /** @type {import("./engine.js").Candidate[]} */ ([]);
  let running = Promise.resolve();
  const show = () => {
    running = running.then(update).catch((problem) => {
      output.textContent = reason(problem);
    });
  };
  async function update() {
    const heat = temperature.input.valueAsNumber;
    const wanted = JSON.stringify([prompt.value, heat]);
    if (wanted !== asked) {
      if (!prompt.value) return output.replaceChildren("The prompt is empty: write at least one word.");
      // Another temperature is another sum over all 49,152 tokens: llama.cpp computes it, from the same cached prompt.
      candidates = await engine.candidates(prompt.value, heat || 1, fragments);
      asked = wanted;
    }
    const rules = { topK: topK.input.valueAsNumber, topP: topP.input.valueAsNumber, minP: minP.input.valueAsNumber };
    output.replaceChildren(...bars(candidates, heat === 0 ? greedy(candidates) : draw(candidates, rules)));
  }
  prompt.addEventListener("change", show);
  for (const { input } of [temperature, topK, topP, minP]) input.addEventListener("input", show);
  place.append(row("Prompt (press Enter)", prompt), temperature.line, topK.line, topP.line, minP.line, output);
  show();
});

/** @param {import("./engine.js").Candidate[]} candidates @param {ReturnType<typeof draw>} drawn */
function bars(candidates, { drawn, kept, more }) {
  const count = more ? `More than ${MOST_CANDIDATES.toLocaleString("en")}` : kept.toLocaleString("en");
  const head = element("p", {}, element("b", { textContent: `${count} of 49,152 tokens can be drawn` }));
  const rows = candidates.slice(0, SHOWN).map(({ token }, place) => {
    const bar = element("meter", { min: 0, max: Math.max(drawn[0], 1e-9), value: drawn[place] });
    const said = drawn[place] ? `${(100 * drawn[place]).toFixed(1)}%` : "cut";
    const cells = [element("th", { scope: "row", textContent: visible(token) }), element("td", {}, bar)];
    return element("tr", { className: drawn[place] ? "" : "cut" }, ...cells, element("td", { textContent: said }));
  });
  return [head, element("table", { className: "bars" }, element("tbody", {}, ...rows))];
}
