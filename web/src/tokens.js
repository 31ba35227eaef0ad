// A text as its tokens, by the tokenizer of the course's model: no weights are needed for that.
import { Tokenizer } from "./vendor/tokenizers.js";

/** @typedef {{ id: number, text: string, bytes: number[] }} Piece */

const OUTSIDE = byteOfLetter();

/** The tokenizer in the folder `model/` beside the page. @returns {Promise<Tokenizer>} */
export async function load() {
  const [tokenizer, settings] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json"].map(async (name) => (await fetch(`model/${name}`)).json()),
  );
  return new Tokenizer(tokenizer, settings);
}

/** @param {Tokenizer} tokenizer @param {string} text @returns {Piece[]} */
export function pieces(tokenizer, text) {
  const { ids, tokens } = tokenizer.encode(text, { add_special_tokens: false });
  return ids.map((id, place) => {
    const bytes = [...tokens[place]].flatMap((letter) => OUTSIDE.get(letter) ?? [...new TextEncoder().encode(letter)]);
    return { id, bytes, text: new TextDecoder().decode(new Uint8Array(bytes)) };
  });
}

/** Characters as readers count them, words as `str.split` does, and bytes. @param {string} text */
export function sizes(text) {
  const words = text.split(/\s+/u).filter(Boolean).length;
  return { characters: [...text].length, words, bytes: new TextEncoder().encode(text).length };
}

/** A text with its blanks made visible, as in the notebooks. @param {string} text */
export function visible(text) {
  return text.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

/**
 * Byte-level tokenizers write each of the 256 bytes as one printable letter: a space is "Ġ". This is the way back
 * (OpenAI's GPT-2, encoder.py: bytes_to_unicode).
 */
function byteOfLetter() {
  const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const letters = new Map(printable.map((byte) => [String.fromCodePoint(byte), byte]));
  let next = 256;
  for (const byte of range(0, 255)) if (!printable.includes(byte)) letters.set(String.fromCodePoint(next++), byte);
  return letters;
}

/** @param {number} first @param {number} last */
function range(first, last) {
  return Array.from({ length: last - first + 1 }, (_, place) => first + place);
}
