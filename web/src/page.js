// What all live pages share: the button that loads the model, its progress, and sentences for what goes wrong.
import { bytesHere, forget } from "./parts.js";

/** @typedef {import("./engine.js").Engine} Engine */

const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6).toLocaleString("en");

/**
 * An element with properties and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name @param {Record<string, unknown>} [properties] @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A labelled control. @param {string} label @param {HTMLElement} control */
export function row(label, control) {
  control.id ||= label.toLowerCase().replace(/\W+/g, "-");
  return element("div", { className: "row" }, element("label", { htmlFor: control.id, textContent: label }), control);
}

/**
 * A slider with its value beside it.
 * @param {string} label @param {number} value @param {{ min: number, max: number, step: number }} limits
 */
export function slider(label, value, limits) {
  const input = element("input", { type: "range", ...limits, value });
  const said = element("output", { textContent: value.toFixed(limits.step < 1 ? 2 : 0) });
  const line = row(label, input);
  line.append(said);
  said.htmlFor.add(input.id);
  input.addEventListener("input", () => {
    said.textContent = input.valueAsNumber.toFixed(limits.step < 1 ? 2 : 0);
  });
  return { line, input };
}

/**
 * The box that loads the model on a click; `ready` is called with the engine, once.
 * @param {HTMLElement} place @param {(engine: Engine) => void} ready
 */
export async function loader(place, ready) {
  const status = element("p", { className: "status", role: "status" });
  const bar = element("progress", { max: 1, value: 0, hidden: true });
  bar.setAttribute("aria-label", "Loading the model");
  const load = element("button", { className: "primary", disabled: true, textContent: "Load the model" });
  const stop = element("button", { textContent: "Stop", hidden: true });
  const clear = element("button", {
    className: "quiet",
    textContent: "Remove the model from this browser",
    hidden: true,
  });
  place.append(element("div", { className: "buttons" }, load, stop, clear), bar, status);
  let manifest = /** @type {import("./parts.js").Manifest | undefined} */ (undefined);
  try {
    manifest = await (await fetch("model/model.json")).json();
  } catch {
    status.textContent = "This page cannot reach the rest of the site: look whether you are connected, then reload it.";
    return;
  }
  const known = /** @type {import("./parts.js").Manifest} */ (manifest);
  const size = megabytes(known.bytes);
  const tell = async () => {
    const here = await bytesHere(known);
    clear.hidden = here === 0;
    const some = here
      ? `${megabytes(here)} of ${size} MB are in this browser; the rest is fetched`
      : `${size} MB, once`;
    load.textContent = here === known.bytes ? `Start ${known.title}` : `Load ${known.title} (${some})`;
  };
  await tell();
  load.disabled = false;
  clear.onclick = async () => {
    await forget();
    await tell();
    status.textContent = "The model is gone from this browser.";
  };
  load.onclick = async () => {
    const halt = new AbortController();
    stop.onclick = () => halt.abort();
    [load.disabled, stop.hidden, bar.hidden, clear.hidden] = [true, false, false, true];
    try {
      const { Engine } = await import("./engine.js");
      const progress = (/** @type {number} */ bytes) => {
        bar.value = bytes / known.bytes;
        status.textContent = bytes < known.bytes ? `${megabytes(bytes)} of ${size} MB` : "Starting the model ...";
      };
      const engine = await Engine.load(known, progress, halt.signal);
      load.hidden = true;
      const offline = navigator.onLine ? "" : " You are offline; that is fine.";
      status.textContent = `${known.title} runs in this page, on ${engine.place}. What you type stays on this machine.${offline}`;
      ready(engine);
    } catch (problem) {
      status.textContent = halt.signal.aborted
        ? "Stopped. What has come is kept: load it again to go on."
        : reason(problem);
      load.disabled = false;
      await tell();
    } finally {
      stop.hidden = bar.hidden = true;
    }
  };
}

/** A sentence for what stopped the page. @param {unknown} problem */
export function reason(problem) {
  const text = problem instanceof Error ? problem.message : String(problem);
  if (/memory|allocation|out of bounds/i.test(text))
    return "This device has not enough free memory for the model (it takes about 400 MB): close other pages, then try again.";
  if (/CompileError|simd|wasm/i.test(text))
    return "This browser cannot run the model (it has no WebAssembly SIMD): use a current Chrome, Edge, Firefox or Safari.";
  if (problem instanceof TypeError)
    return "The connection broke off. What has come is kept: load the model again to go on where it stopped.";
  return `That did not work (${text}): reload the page and try again.`;
}

/**
 * One answer at a time, with a button that stops it.
 * @param {HTMLButtonElement} go @param {HTMLButtonElement} stop @param {(signal: AbortSignal) => Promise<void>} work
 * @param {(text: string) => void} tell
 */
export function answering(go, stop, work, tell) {
  return async () => {
    if (go.disabled) return;
    const halt = new AbortController();
    stop.onclick = () => halt.abort();
    [go.disabled, stop.disabled] = [true, false];
    try {
      await work(halt.signal);
    } catch (problem) {
      tell(reason(problem));
    } finally {
      [go.disabled, stop.disabled] = [false, true];
    }
  };
}
