"""The exercises of lesson 00, Start here: small ones, to learn how exercises work."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class CountTokens(Coded):
    """How many tokens a long word has."""

    number = "00.1"
    title = "Tokens in one word"
    names = ("count",)
    hints = (
        'In a new cell: `tokenizer("internationalization")["input_ids"]` gives the list of numbers.',
        "`len(...)` counts them.",
    )
    code = "count = 2"
    why = 'The pieces are "international" and "ization": `[tokenizer.decode(i) for i in ids]` shows them.'
    also_correct = ("count = len(['international', 'ization'])",)
    mistakes = (
        ("count = 20", "letters"),
        ("count = 1", "not one token"),
        ("count = '2'", "should be a number"),
        ("count = 5", "count again"),
    )

    def verify(self, count: Any) -> str:
        found = number_of(count, "count")
        expect(found != 20, "20 is the number of letters: ask the tokenizer.")
        expect(found != 1, "it is one word, but not one token: it is too rare for a token of its own.")
        expect(found == 2, f"{found:g} is not it: count again what `tokenizer(...)['input_ids']` holds.")
        return "A rare word is cut into parts that are common."


class _Words:
    """A tokenizer small enough to know every answer: it cuts texts into pieces of up to four characters."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(text[at]) for at in range(0, len(text), 4)]}

    def encode(self, text: str, **_: Any) -> list[int]:
        return self(text)["input_ids"]

    def tokenize(self, text: str, **_: Any) -> list[str]:
        return [text[at : at + 4] for at in range(0, len(text), 4)]


class TokensPerWord(Coded):
    """The average number of tokens a word, for any text and any tokenizer."""

    number = "00.2"
    title = "Tokens per word"
    names = ("tokens_per_word",)
    hints = (
        'Tokens: `len(tokenizer(text)["input_ids"])`. Words: `len(text.split())`.',
        "Divide the first by the second, and `return` it.",
    )
    code = """
def tokens_per_word(text, tokenizer):
    return len(tokenizer(text)["input_ids"]) / len(text.split())
"""
    why = (
        "A common word in English costs little more than one token. A language that the tokenizer has seen less of "
        "costs two or three for each word, so the same text is slower and dearer."
    )
    also_correct = (
        "def tokens_per_word(text, tokenizer):\n    words = text.split()\n"
        "    return len(tokenizer.encode(text)) / len(words)",
    )
    mistakes = (
        (
            "def tokens_per_word(text, tokenizer):\n    return len(text.split()) / len(tokenizer(text)['input_ids'])",
            "the other way round",
        ),
        ("def tokens_per_word(text, tokenizer):\n    return len(tokenizer(text)['input_ids'])", "divide"),
        ("def tokens_per_word(text, tokenizer):\n    len(tokenizer(text)['input_ids'])", "forget `return`"),
        (
            "def tokens_per_word(text, tokenizer):\n    return len(tokenizer(text)['input_ids']) // len(text.split())",
            "rounded",
        ),
        ("def tokens_per_word(text, tokenizer):\n    return len(text) / len(text.split())", "characters"),
    )

    def verify(self, tokens_per_word: Any) -> str | None:
        expect(
            callable(tokens_per_word), f"tokens_per_word should be a function, not a {type(tokens_per_word).__name__}."
        )
        for text in ("one word or more, it does not matter", "Straßenbahnhaltestelle 東京 🙂"):
            tokens, words = len(_Words()(text)["input_ids"]), len(text.split())
            found = number_of(tokens_per_word(text, _Words()), "the result")
            slips = {
                words / tokens: "you divide the other way round: tokens by words, not words by tokens.",
                tokens: "that is the number of tokens: divide it by the number of words.",
                tokens // words: "the result is rounded: use / instead of //.",
                len(text) / words: "you count characters: ask the tokenizer for the tokens.",
            }
            for value, slip in slips.items():
                expect(not is_close(found, value) or is_close(found, tokens / words), slip)
            expect(is_close(found, tokens / words), f"for {text!r} it should be {tokens / words:.2f}, not {found:.2f}.")
        return None


class MyGoal(Open):
    """What the learner wants to do with a model."""

    number = "00.4"
    title = "Your own goal"
    question = "What would you like to do with a model that is yours?"
    rubric = (
        "names one task, not a subject;",
        "says what goes in and what should come out;",
        "says how you would notice that the answer is wrong;",
        "says why the model should be yours: privacy, cost, control, or curiosity.",
    )
    example = (
        "I want to turn my lab notes into a table with date, sample and value. In goes one note, out comes one line. "
        "For fifty notes I have made the table myself, so I can count mistakes. The notes must not leave the lab."
    )
    hints = ("Think of a text that you handle every week.", "What would you do with the model's answer?")
