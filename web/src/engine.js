// llama.cpp in this page (wllama): load the course's model, let it write, ask it for probabilities.
import { Wllama, LoggerWithoutDebug } from "./vendor/wllama.js";
import { whole } from "./parts.js";

/**
 * @typedef {{ role: "system" | "user" | "assistant", content: string }} Message
 * @typedef {{ id: number, token: string, prob: number }} Candidate a possible next token and its probability
 * @typedef {{ temperature?: number, maxTokens?: number, seed?: number, schema?: object, signal?: AbortSignal }} Settings
 * @typedef {{ tokens: number, perSecond: number, promptTokens: number, promptPerSecond: number }} Speed
 */

/** More candidates than this do not come through from WebAssembly in one piece (wllama 3.13). */
export const MOST_CANDIDATES = 5000;
const CONTEXT = 2048; // tokens; the model could read 8,192, and phones are short of memory

export class Engine {
  /** @param {Wllama} wllama @param {boolean} gpu */
  constructor(wllama, gpu) {
    this.wllama = wllama;
    this.place = gpu ? "the graphics card (WebGPU)" : threads(wllama.getNumThreads());
  }

  /**
   * @param {import("./parts.js").Manifest} manifest
   * @param {(loaded: number) => void} progress
   * @param {AbortSignal} signal
   */
  static async load(manifest, progress, signal) {
    const file = await whole(manifest, new URL("model/", document.baseURI).href, progress, signal);
    const gpu = await hasGpu();
    try {
      return await Engine.#begin(file, gpu);
    } catch (problem) {
      if (!gpu) throw problem;
      return await Engine.#begin(file, false); // a graphics card that promises more than it holds
    }
  }

  /** @param {Blob} file @param {boolean} gpu */
  static async #begin(file, gpu) {
    const wasm = new URL("vendor/wllama.wasm", document.baseURI).href;
    const wllama = new Wllama({ default: wasm }, { suppressNativeLog: true, logger: quiet });
    await wllama.loadModel([file], { n_ctx: CONTEXT, n_gpu_layers: gpu ? 99 : 0, n_threads: cores() });
    return new Engine(wllama, gpu);
  }

  /**
   * The answer to a conversation, piece by piece; `said` hears the whole text so far.
   * @param {Message[]} messages @param {Settings} settings @param {(text: string) => void} said
   * @returns {Promise<{ text: string, stopped: boolean, speed: Speed | undefined }>}
   */
  async chat(messages, settings, said) {
    const { temperature = 0, maxTokens = 200, seed = 0, schema, signal } = settings;
    const format = schema && { type: /** @type {const} */ ("json_schema"), json_schema: { name: "answer", schema } };
    let text = "";
    let timings;
    try {
      const stream = await this.wllama.createChatCompletion({
        messages,
        stream: true,
        temperature,
        seed,
        max_tokens: maxTokens,
        timings_per_token: true,
        ...(format && { response_format: format }),
        ...(signal && { abortSignal: signal }),
      });
      for await (const chunk of stream) {
        timings = chunk.timings ?? timings;
        text += chunk.choices[0]?.delta?.content ?? "";
        said(text);
      }
    } catch (problem) {
      if (!signal?.aborted) throw problem;
    }
    return { text, stopped: Boolean(signal?.aborted), speed: timings && speed(timings) };
  }

  /**
   * The most probable next tokens at this temperature, best first, at most MOST_CANDIDATES. Each probability is exact:
   * llama.cpp divides by the sum over the whole vocabulary, but for `fragments`, the tokens that are a piece of a letter:
   * as a text of their own they would stop wllama 3.13.
   * @param {string} prompt @param {number} temperature above 0 @param {number[]} fragments
   * @returns {Promise<Candidate[]>}
   */
  async candidates(prompt, temperature, fragments) {
    const asked = { prompt, max_tokens: 1, temperature, logprobs: MOST_CANDIDATES, n_probs: MOST_CANDIDATES };
    // Temperature alone, so that nothing is cut; the names are llama-server's.
    const without = fragments.map((token) => [token, false]);
    const rules = { samplers: ["temperature"], post_sampling_probs: true, logit_bias: without };
    const answer = await this.wllama.createCompletion(/** @type {any} */ ({ ...asked, ...rules }));
    return /** @type {any} */ (answer.choices[0]?.logprobs)?.content?.[0]?.top_probs ?? [];
  }
}

/** Threads need an isolated page; on a larger machine one core is left to the page itself. */
function cores() {
  const count = crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1;
  return count > 2 ? count - 1 : count;
}

/** @param {number} count */
function threads(count) {
  return count === 1 ? "one core of the processor" : `${count} cores of the processor`;
}

async function hasGpu() {
  try {
    return Boolean(await /** @type {any} */ (navigator).gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** @param {import("./vendor/wllama.js").ResultTimings} timings @returns {Speed} */
function speed(timings) {
  const { predicted_n, predicted_per_second, prompt_n, prompt_per_second } = timings;
  return {
    tokens: predicted_n,
    perSecond: predicted_per_second,
    promptTokens: prompt_n,
    promptPerSecond: prompt_per_second,
  };
}

const quiet = { ...LoggerWithoutDebug, log: () => {}, warn: () => {} };
