// Token explorer: a text as the model sees it, while you type. It needs the tokenizer alone, no weights.
import { element, row } from "./page.js";
import { load, pieces, sizes, visible } from "./tokens.js";

const MOST = 1500; // more pieces than this would make the page slow

const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const text = element("textarea", { rows: 3, value: "Unbelievable! 2026 tokens cost 3.50 €" });
const details = element("input", { type: "checkbox" });
const output = element("div", { role: "status" });

load().then(
  (tokenizer) => {
    const show = () => output.replaceChildren(...drawn(pieces(tokenizer, text.value), text.value, details.checked));
    text.addEventListener("input", show);
    details.addEventListener("input", show);
    place.append(row("Text", text), row("Show the bytes of each token", details), output);
    show();
  },
  () =>
    place.append(
      element("p", {
        textContent: "The tokenizer cannot be reached: look whether you are connected, then reload the page.",
      }),
    ),
);

/** @param {import("./tokens.js").Piece[]} found @param {string} text @param {boolean} bytes */
function drawn(found, text, bytes) {
  const size = sizes(text);
  const count = found.length.toLocaleString("en");
  const ratio = size.words ? ` · ${(found.length / size.words).toFixed(2)} tokens a word` : "";
  const rest = ` · ${size.words} words · ${size.characters} characters · ${size.bytes} bytes${ratio}`;
  const head = element("p", {}, element("b", { textContent: `${count} token${found.length === 1 ? "" : "s"}` }), rest);
  const chips = element("div", { className: "chips" }, ...found.slice(0, MOST).map((piece) => chip(piece, bytes)));
  const more = found.length > MOST ? [element("p", { textContent: `... and ${found.length - MOST} more` })] : [];
  return [head, chips, ...more];
}

/** @param {import("./tokens.js").Piece} piece @param {boolean} bytes */
function chip(piece, bytes) {
  const made = element("span", { className: "chip" }, element("span", { textContent: visible(piece.text) }));
  made.append(element("small", { textContent: String(piece.id) }));
  const hex = piece.bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (bytes) made.append(element("small", { textContent: hex }));
  return made;
}
