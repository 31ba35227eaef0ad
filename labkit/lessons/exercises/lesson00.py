"""The exercises of lesson 00, Start here: small ones, to learn how exercises work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.lessons.exercises.coded import Coded, a_kind, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class CountTokens(Coded):
    """How many tokens a long word has."""

    number = "00.1"
    title = "Tokens in one word"
    names = ("count",)
    hints = (
        'In a new cell: `tokenizer("misunderstandings")["input_ids"]` gives the list of numbers.',
        "`len(...)` counts them.",
    )
    code = "count = 3"
    why = 'The pieces are "mis", "understand" and "ings": `[tokenizer.decode(i) for i in ids]` shows them.'
    also_correct = ("count = len(['mis', 'understand', 'ings'])",)
    mistakes = (
        ("count = 17", "letters"),
        ("count = 1", "not one token"),
        ("count = '3'", "should be a number"),
        ("count = [20909, 32426, 722]", "`len(...)` counts them"),
        ("count = {'input_ids': [1, 2, 3], 'attention_mask': [1, 1, 1]}", '["input_ids"]'),
        ("count = 2", '["input_ids"]'),
        ("count = 5", "count again"),
    )

    def verify(self, count: Any) -> str:
        parts = 'the tokenizer\'s answer has two parts: count the numbers in its ["input_ids"].'
        expect(not isinstance(count, Mapping), parts)
        expect(not isinstance(count, (list, tuple)), "that is a list: `len(...)` counts them.")
        found = number_of(count, "count")
        expect(found != 17, "17 is the number of letters: ask the tokenizer.")
        expect(found != 1, "it is one word, but not one token: it is too rare for a token of its own.")
        expect(found != 2, parts)
        expect(found == 3, f"{found:g} is not it: count again what `tokenizer(...)['input_ids']` holds.")
        return "A rare word is cut into parts that are common."


def _real_tokenizer() -> Any:
    """The course model's own: a stand-in would refuse some of the right ways to use it."""
    from transformers import AutoTokenizer

    from labkit.world import weights

    return AutoTokenizer.from_pretrained(weights.ensure(quiet=True))


# Spaces and a line's end, in such numbers that splitting at single spaces gives another result.
_TEXTS = ("Two  spaces and one   line,\nthen another", "Straßenbahnhaltestelle  東京 🙂")


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
        "def tokens_per_word(text, tokenizer):\n    return len(tokenizer(text).input_ids) / len(text.split())",
        "def tokens_per_word(text, tokenizer):\n    return len(tokenizer.tokenize(text)) / len(text.split())",
        "from labkit.facts.tokens import table\ndef tokens_per_word(text, tokenizer):\n"
        "    return len(table(text, tokenizer)) / len(text.split())",
        "def tokens_per_word(text, tokenizer):\n    ids = tokenizer(text)['input_ids']\n"
        "    pieces = [tokenizer.decode(i) for i in ids]\n    return len(pieces) / len(text.split())",
        "def tokens_per_word(text, tokenizer):\n"
        "    return round(len(tokenizer(text)['input_ids']) / len(text.split()), 2)",
        "def tokens_per_word(text, tokenizer):\n"
        "    return round(len(tokenizer(text)['input_ids']) / len(text.split()), 1)",
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
        (
            "def tokens_per_word(text, tokenizer):\n"
            "    return round(len(tokenizer(text)['input_ids']) / len(text.split()))",
            "rounded",
        ),
        ("def tokens_per_word(text, tokenizer):\n    return len(text) / len(text.split())", "characters"),
        (
            "def tokens_per_word(text, tokenizer):\n"
            "    return len(tokenizer(text)['input_ids']) / len(text.split(' '))",
            "without an argument",
        ),
        (
            "def tokens_per_word(text, tokenizer):\n    return len(tokenizer(text)) / len(text.split())",
            '["input_ids"]',
        ),
        (
            "def tokens_per_word(text, tokenizer):\n    return len(tokenizer(text).input_ids) / len(text)",
            "by the characters",
        ),
        ("tokens_per_word = 1.5", "give its name alone, without brackets"),
        ("def tokens_per_word(text):\n    return 1.5", "has to take 2 values, and takes 1 (text)"),
        ("def tokens_per_word(text, tokenizer):\n    return 1.5", "it should be"),
    )

    def verify(self, tokens_per_word: Any) -> str | None:
        kind = f"tokens_per_word should be a function, and is {a_kind(tokens_per_word)}"
        expect(callable(tokens_per_word), f"{kind}: give its name alone, without brackets.")
        tokenizer = _real_tokenizer()
        for text in _TEXTS:
            tokens, words = len(tokenizer(text)["input_ids"]), len(text.split())
            found = number_of(tokens_per_word(text, tokenizer), "the result")
            if is_close(found, tokens / words, digits=2):  # as lesson 01 prints such numbers
                continue
            slips = {
                words / tokens: "you divide the other way round: tokens by words, not words by tokens.",
                tokens: "that is the number of tokens: divide it by the number of words.",
                tokens // words: "the result is rounded to a whole number: use /, and do not round so much.",
                round(tokens / words): "the result is rounded to a whole number: use /, and do not round so much.",
                tokens / len(text): "you divide by the characters: the words are `text.split()`.",
                len(text) / words: "you count characters: ask the tokenizer for the tokens.",
                tokens / len(text.split(" ")): "two spaces have no word between them: write `text.split()`, without an "
                "argument.",
                len(tokenizer(text)) / words: 'you count the parts of the tokenizer\'s answer: take its ["input_ids"].',
            }
            for value, slip in slips.items():
                expect(not is_close(found, value), slip)
            expect(False, f"for {text!r} it should be {tokens / words:.2f}, not {found:.2f}.")
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
