// Chat: talk to the model; the answer appears as it is written, and can be stopped.
import { answering, element, loader, row } from "./page.js";

const MOST_TURNS = 12; // messages that are sent again with each question: the context has an end

const place = /** @type {HTMLElement} */ (document.querySelector("#live"));
const log = element("div", { className: "log", role: "log" });
const text = element("input", { type: "text", placeholder: "Ask something, then press Enter", autocomplete: "off" });
const send = element("button", { className: "primary", textContent: "Send", disabled: true });
const stop = element("button", { textContent: "Stop", disabled: true });
const clear = element("button", { textContent: "Clear" });
const note = element("p", { className: "note" });
const form = element("form", {}, row("You", text), element("div", { className: "buttons" }, send, stop, clear));
let messages = /** @type {import("./engine.js").Message[]} */ ([]);

/** @param {"user" | "assistant"} role */
function line(role) {
  const said = element("span");
  log.append(
    element(
      "div",
      { className: `turn ${role}` },
      element("b", { textContent: role === "user" ? "You: " : "Model: " }),
      said,
    ),
  );
  return said;
}

clear.onclick = () => {
  stop.click();
  messages = [];
  log.replaceChildren();
  note.textContent = "";
};

loader(place, (engine) => {
  place.append(log, form, note);
  send.disabled = false;
  text.focus();
  const ask = answering(
    send,
    stop,
    async (signal) => {
      const question = text.value.trim();
      if (!question) return;
      text.value = "";
      line("user").textContent = question;
      const conversation = (messages = [
        ...messages.slice(-MOST_TURNS),
        { role: /** @type {const} */ ("user"), content: question },
      ]);
      const answer = line("assistant");
      note.textContent = "reading ...";
      const began = performance.now();
      const {
        text: said,
        stopped,
        speed,
      } = await engine.chat(conversation, { signal }, (sofar) => {
        answer.textContent = sofar;
        note.textContent = "writing ...";
      });
      if (messages === conversation) messages = [...conversation, { role: "assistant", content: said }];
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const pace = speed ? `, ${speed.perSecond.toFixed(0)} tokens/s` : "";
      note.textContent = `${stopped ? "stopped" : "done"}: ${said.split(/\s+/).filter(Boolean).length} words in ${seconds} s${pace}`;
    },
    (problem) => {
      note.textContent = problem;
    },
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    ask();
  };
});
