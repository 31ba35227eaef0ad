// Blind arena: the same model at two temperatures; you choose a side, and only then learn which was which.
import { answering, element, loader, row } from "./page.js";

const HEATS = { careful: 0.2, bold: 1.5 };
const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const prompt = element("textarea", { rows: 2, value: "Describe the sea in one sentence." });
const ask = element("button", { className: "primary", textContent: "Ask both" });
const stop = element("button", { textContent: "Stop", disabled: true });
const result = element("p", {
  role: "status",
  textContent: "Ask both, read, and choose a side. Who stood where is told after the vote.",
});
const sides = { left: side("Left"), right: side("Right") };
const votes = { left: vote("Left is better"), tie: vote("Tie"), right: vote("Right is better") };
const count = { careful: 0, bold: 0, tie: 0 };
let left = /** @type {keyof typeof HEATS} */ ("careful");

/** @param {string} title */
function side(title) {
  const text = element("p", { className: "answer" });
  const note = element("p", { className: "note" });
  return { text, note, box: element("section", {}, element("h2", { textContent: title }), text, note) };
}

/** @param {string} textContent */
function vote(textContent) {
  return element("button", { textContent, disabled: true });
}

/** @param {boolean} open */
function voting(open) {
  for (const button of Object.values(votes)) button.disabled = !open;
}

for (const [choice, button] of Object.entries(votes)) {
  button.onclick = () => {
    voting(false);
    const right = left === "careful" ? "bold" : "careful";
    const chosen = choice === "left" ? left : choice === "right" ? right : "tie";
    count[/** @type {keyof typeof count} */ (chosen)] += 1;
    const said = chosen === "tie" ? "neither" : `temperature ${HEATS[/** @type {keyof typeof HEATS} */ (chosen)]}`;
    result.textContent =
      `You chose ${said}: left was temperature ${HEATS[left]}, right was temperature ${HEATS[right]}. ` +
      `So far: ${HEATS.careful} won ${count.careful}, ${HEATS.bold} won ${count.bold}, ties ${count.tie}.`;
  };
}

loader(place, (engine) => {
  const columns = element("div", { className: "columns" }, sides.left.box, sides.right.box);
  const buttons = element("div", { className: "buttons" }, ...Object.values(votes));
  place.append(row("Prompt", prompt), element("div", { className: "buttons" }, ask, stop), columns, buttons, result);
  ask.onclick = answering(
    ask,
    stop,
    async (signal) => {
      const content = prompt.value.trim();
      if (!content) return void (result.textContent = "The prompt is empty: write at least one word.");
      voting(false);
      left = Math.random() < 0.5 ? "careful" : "bold";
      result.textContent = "Both answers first, then your vote.";
      for (const { text, note } of Object.values(sides)) [text.textContent, note.textContent] = ["", "waiting ..."];
      for (const [name, { text, note }] of Object.entries(sides)) {
        const temperature = HEATS[name === "left" ? left : left === "careful" ? "bold" : "careful"];
        const settings = { temperature, maxTokens: 80, seed: Math.floor(Math.random() * 2 ** 31), signal };
        note.textContent = "writing ...";
        const { stopped } = await engine.chat([{ role: "user", content }], settings, (sofar) => {
          text.textContent = sofar;
        });
        note.textContent = stopped ? "stopped" : "done";
        if (stopped) return void (result.textContent = "This round was stopped and does not count.");
      }
      result.textContent = "Which one is better?";
      voting(true);
    },
    (problem) => {
      result.textContent = problem;
    },
  );
});
