"""What a tokenizer makes of a text: numbers, pieces, bytes, and what they cost.

Works with the two kinds of tokenizer that nearly all open models have: byte-level BPE (GPT-2, SmolLM2, LLaMA-3, Qwen),
whose tokens are byte sequences, so that a token can be a part of a character; and SentencePiece (LLaMA-2, Mistral,
Gemma), which writes a space as a low line and falls back to single bytes. Knows nothing of models.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError

if TYPE_CHECKING:
    import pandas

# One sentence in the languages of lesson 01.
SENTENCES = {
    "English": "Every child has the right to learn to read and write.",
    "Spanish": "Todos los niños tienen derecho a aprender a leer y escribir.",
    "German": "Jedes Kind hat das Recht, lesen und schreiben zu lernen.",
    "Turkish": "Her çocuğun okuma ve yazma öğrenme hakkı vardır.",
    "Hindi": "हर बच्चे को पढ़ना और लिखना सीखने का अधिकार है।",
}


@dataclass(frozen=True)
class Token:
    """One token: its number, the bytes that it stands for, and how to show them.

    `text` is the bytes as text; a piece of a character cannot be text, and is shown as its bytes, `<F0 9F>`.
    """

    id: int
    bytes: bytes
    text: str
    special: bool = False


def pieces(text: str, tokenizer: Any, *, most: int | None = None) -> list[Token]:
    """The tokens of `text`, without any that the tokenizer adds by itself; their bytes, joined, are the text's.

    With `most`, only that many from the beginning: to describe all tokens of a long text is slow.

    A vocabulary may lack a byte (SmolLM2's lacks most control characters): then neither the model nor you see it here.
    SentencePiece tokenizers often put a space of their own first. LabError for any other kind of tokenizer.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [describe(token, tokenizer) for token in ids[:most]]


def describe(token: int, tokenizer: Any) -> Token:
    """One token of the vocabulary, by its number."""
    stored = tokenizer.convert_ids_to_tokens(int(token))
    if stored is None:
        raise LabError(f"There is no token {token}: this vocabulary has the numbers 0 to {len(tokenizer) - 1}.")
    if int(token) in tokenizer.added_tokens_decoder:
        return Token(int(token), stored.encode(), stored, special=True)
    raw = _sentencepiece(stored) if _falls_back_to_bytes(tokenizer) else _byte_level(stored)
    return Token(int(token), raw, _readable(raw))


def _falls_back_to_bytes(tokenizer: Any) -> bool:
    """SentencePiece vocabularies have a token for each byte, spelled `<0x0A>`; byte-level ones have no need to."""
    known = tokenizer.convert_tokens_to_ids("<0x0A>")
    return known is not None and known != tokenizer.unk_token_id


def _sentencepiece(stored: str) -> bytes:
    byte = re.fullmatch(r"<0x([0-9A-F]{2})>", stored)
    return bytes([int(byte[1], 16)]) if byte else stored.replace("\u2581", " ").encode()


def _byte_level(stored: str) -> bytes:
    table = _byte_of_character()
    if not all(character in table for character in stored):
        raise LabError(
            "This tokenizer is neither byte-level nor SentencePiece, so its tokens cannot be shown as bytes."
        )
    return bytes(table[character] for character in stored)


def join(tokens: list[Token]) -> str:
    """The text that the tokens stand for."""
    return b"".join(token.bytes for token in tokens).decode(errors="replace")


def table(text: str, tokenizer: Any) -> pandas.DataFrame:
    """The tokens of `text` as a DataFrame, one row a token: piece, id, bytes."""
    import pandas

    rows = [(token.text, token.id, token.bytes.hex(" ")) for token in pieces(text, tokenizer)]
    return pandas.DataFrame(rows, columns=["piece", "id", "bytes"])


@dataclass(frozen=True)
class Counts:
    """The sizes of one text in four units. Prices and context limits count tokens."""

    words: int
    characters: int
    bytes: int
    tokens: int

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / self.words if self.words else 0.0


def count(text: str, tokenizer: Any) -> Counts:
    """How long a text is, in words (split at spaces), characters, UTF-8 bytes and tokens."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return Counts(len(text.split()), len(text), len(text.encode()), len(ids))


def by_language(tokenizer: Any, sentences: Mapping[str, str] = SENTENCES) -> pandas.DataFrame:
    """What one sentence takes in several languages, one row each: tokens, words, tokens_per_word and times.

    `times` is relative to the first language: services charge by the token, so it is also the relative cost.
    """
    import pandas

    sizes = {language: count(text, tokenizer) for language, text in sentences.items()}
    first = next(iter(sizes.values())).tokens
    rows = {name: (size.tokens, size.words, size.tokens_per_word, size.tokens / first) for name, size in sizes.items()}
    return pandas.DataFrame.from_dict(rows, orient="index", columns=["tokens", "words", "tokens_per_word", "times"])


def _readable(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"<{raw.hex(' ').upper()}>"


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """GPT-2's table, which all byte-level tokenizers use: every byte has a printable character that stands for it.

    Printable Latin-1 bytes stand for themselves; the 68 others, in order, for the characters from U+0100 on.
    Source: `bytes_to_unicode` in OpenAI's gpt-2, src/encoder.py, 2019.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
