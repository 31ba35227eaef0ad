// Structured output: a JSON schema is enforced while the model writes, so that a program can read the answer.
import { answering, element, loader, row } from "./page.js";

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 30 },
    amount: { type: "number" },
    urgent: { type: "boolean" },
  },
  required: ["name", "amount", "urgent"],
  additionalProperties: false,
};
const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const note = element("textarea", { rows: 2, value: "Ada owes me 12.50 for the pizza, please remind her today." });
const schema = element("textarea", {
  rows: 12,
  className: "code",
  value: JSON.stringify(SCHEMA, null, 2),
  spellcheck: false,
});
const enforced = element("input", { type: "checkbox", checked: true });
const go = element("button", { className: "primary", textContent: "Extract" });
const stop = element("button", { textContent: "Stop", disabled: true });
const answer = element("pre", { className: "answer" });
const verdict = element("p", { role: "status" });

loader(place, (engine) => {
  const buttons = element("div", { className: "buttons" }, go, stop);
  place.append(row("Note", note), row("Schema", schema), row("Enforce the schema", enforced), buttons, answer, verdict);
  go.onclick = answering(
    go,
    stop,
    async (signal) => {
      let wanted;
      try {
        wanted = JSON.parse(schema.value);
      } catch (problem) {
        return void (verdict.textContent = `The schema is no JSON (${/** @type {Error} */ (problem).message}): mend it, then try again.`);
      }
      verdict.textContent = "writing ...";
      const content = `Reply with JSON that follows this schema: ${JSON.stringify(wanted)}\n\n${note.value}`;
      const settings = { maxTokens: 120, signal, ...(enforced.checked && { schema: wanted }) };
      const { text, stopped } = await engine.chat([{ role: "user", content }], settings, (sofar) => {
        answer.textContent = sofar;
      });
      verdict.textContent = stopped ? "Stopped." : told(text);
    },
    (problem) => {
      verdict.textContent = problem;
    },
  );
});

/** @param {string} text */
function told(text) {
  try {
    const found = JSON.parse(text);
    const keys = found && typeof found === "object" ? Object.keys(found).join(", ") : typeof found;
    return `A program can read this: ${keys}. Whether the values are right is another question: compare them with the note.`;
  } catch {
    return "A program cannot read this: it is no JSON.";
  }
}
