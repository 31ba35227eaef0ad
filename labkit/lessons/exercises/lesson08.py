"""The exercises of lesson 08, Ask your own documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.lessons.exercises.coded import Coded, Wrong, expect
from labkit.lessons.exercises.questions import Open

_FOUND = [["c", "a", "b"], ["b", "c", "a"], ["a", "c", "b"], ["b", "a", "c"]]
_RIGHT = ["a", "b", "b", "c"]
_LONGEST = 60  # words of a chunk


class RecallAtK(Coded):
    """The measure of section 4, from lists of ids."""

    number = "08.1"
    title = "Recall at k"
    names = ("recall",)
    hints = (
        "For one question: is the right id among the first k that were found? `right_id in ids[:k]`.",
        "Recall is the share of questions for which that is so: a number from 0 to 1.",
        "`sum(r in ids[:k] for ids, r in zip(found, right)) / len(right)`.",
    )
    code = """
def recall(found, right, k):
    return sum(r in ids[:k] for ids, r in zip(found, right)) / len(right)
"""
    why = (
        "Each question counts once, found or not found. Where in the first k the passage stands does not matter: "
        "that is what MRR looks at."
    )
    also_correct = (
        "def recall(found, right, k):\n"
        "    hits = 0\n"
        "    for i in range(len(right)):\n"
        "        if found[i].index(right[i]) < k:\n"
        "            hits += 1\n"
        "    return hits / len(found)",
    )
    mistakes = (
        ("def recall(found, right, k):\n    return sum(r in f for f, r in zip(found, right)) / len(right)", "first k"),
        ("def recall(found, right, k):\n    return sum(r in f[:k] for f, r in zip(found, right))", "divide"),
        (
            "def recall(found, right, k):\n    return sum(r == f[k] for f, r in zip(found, right)) / len(right)",
            "counts from 0",
        ),
        (
            "def recall(found, right, k):\n    return sum(r in f[:k] for f, r in zip(found, right)) / len(right) / k",
            "not by k",
        ),
        (
            "def recall(found, right, k):\n    return 100 * sum(r in f[:k] for f, r in zip(found, right)) / len(right)",
            "from 0 to 1",
        ),
        ("recall = 0.5", "should be a function"),
    )

    def verify(self, recall: Callable[..., Any]) -> str:
        expect(callable(recall), "recall should be a function of found, right and k.")
        try:
            one, two, three = (recall([list(ids) for ids in _FOUND], list(_RIGHT), k) for k in (1, 2, 3))
        except IndexError:
            raise Wrong(
                "you ask for a place that is not there: Python counts from 0, and `ids[:k]` never fails."
            ) from None
        expect(isinstance(one, (int, float)), f"it should return a number; it returns {one!r}.")
        expect((one, two) != (1, 1), "you look through all that was found: only the first k count.")
        expect(one != 1 or two <= 1, "you return how many: divide by the number of questions.")
        expect(two != 25 and one != 25, "recall is a share, from 0 to 1, not per cent.")
        expect(abs(two - 0.25) > 1e-9 or abs(one - 0.25) > 1e-9, "divide by the number of questions, not by k.")
        expect(abs(one - 0.25) < 1e-9, f"at k = 1 one of four is found, 0.25; you return {one!r}.")
        expect(abs(two - 0.5) < 1e-9, f"at k = 2 two of four are found, 0.5; you return {two!r}.")
        expect(abs(three - 1) < 1e-9, f"at k = 3 all are found, 1.0; you return {three!r}.")
        return "With a larger k recall can only rise. What it costs stands in the prompt."


class Chunker(Coded):
    """Cutting by structure where that is possible, by length where it is not."""

    number = "08.2"
    title = "Cut a text of your choice"
    names = ("cut", "text")
    hints = (
        "First by structure: `text.split('\\n\\n')` gives the paragraphs, and some may be empty.",
        f"Only a paragraph of more than {_LONGEST} words is cut further, into pieces of at most {_LONGEST}.",
        "`words = paragraph.split()`, then `' '.join(words[i:i + 60]) for i in range(0, len(words), 60)`.",
    )
    code = """
def cut(text):
    chunks = []
    for paragraph in text.split("\\n\\n"):
        words = paragraph.split()
        chunks += [" ".join(words[i:i + 60]) for i in range(0, len(words), 60)]
    return chunks

text = "One short paragraph.\\n\\n" + "And a long one of many words. " * 20
"""
    why = (
        "A paragraph is what its author thought of as one thing. Cut there first; count words only where a paragraph "
        "is too long. Other formats have other seams: the question in a list of questions, the speaker in a talk."
    )
    also_correct = (
        "def cut(text):\n"
        "    done = []\n"
        "    for p in text.split('\\n\\n'):\n"
        "        w = p.split()\n"
        "        if len(w) <= 60:\n"
        "            done += [p.strip()] if w else []\n"
        "        else:\n"
        "            done += [' '.join(w[i:i + 60]) for i in range(0, len(w), 45)]\n"
        "    return done\n"
        "text = 'Short.\\n\\n' + 'word ' * 130",
    )
    mistakes = (
        ("def cut(text):\n    return text.split('\\n\\n')\ntext = 'a b\\n\\n' + 'word ' * 99", "99 words"),
        (
            "def cut(text):\n    w = text.split()\n"
            "    return [' '.join(w[i:i + 60]) for i in range(0, len(w), 60)]\n"
            "text = 'one two three\\n\\n' + 'word ' * 58 + '\\n\\n' + 'end ' * 50",
            "is cut in two",
        ),
        (
            "def cut(text):\n    return [' '.join(p.split()[:60]) for p in text.split('\\n\\n')]\n"
            "text = 'Short.\\n\\n' + 'word ' * 60 + 'and more'",
            "is lost",
        ),
        ("def cut(text):\n    return text.split('\\n\\n')\ntext = 'a\\n\\n\\n\\n' + 'b ' * 50", "is empty"),
        ("def cut(text):\n    return text\ntext = 'word ' * 70", "list of texts"),
        ("def cut(text):\n    return [text]\ntext = 'too short'", "50 words"),
        ("cut, text = [], 'word ' * 70", "should be a function"),
    )

    def verify(self, cut: Callable[[str], Any], text: str) -> str:
        expect(callable(cut), "cut should be a function of a text.")
        expect(isinstance(text, str) and len(text.split()) >= 50, "take a text of at least 50 words.")
        chunks = cut(text)
        right = isinstance(chunks, (list, tuple)) and all(isinstance(chunk, str) for chunk in chunks)
        expect(right, "cut should return a list of texts.")
        expect(all(chunk.strip() for chunk in chunks), "a chunk is empty: leave out paragraphs without words.")
        for chunk in chunks:
            count = len(chunk.split())
            expect(count <= _LONGEST, f"a chunk has {count} words: {_LONGEST} are the most.")
        said = [" ".join(chunk.split()) for chunk in chunks]
        for paragraph in text.split("\n\n"):
            words = paragraph.split()
            whole = " ".join(words)
            inside = any(whole in chunk for chunk in said)
            for at in range(len(words)):
                pair = " ".join(words[at : at + 2])
                lost = words[at] if not any(words[at] in chunk.split() for chunk in said) else None
                expect(lost is None, f"a part of the text is lost: {lost!r} (in {pair!r}) stands in no chunk.")
            beginning = " ".join(words[:6])
            expect(
                inside or len(words) > _LONGEST,
                f"the paragraph that begins {beginning!r} has {len(words)} words, and is cut in two.",
            )
        return f"{len(chunks)} chunks, nothing lost, and no paragraph cut that could stay whole."


_ANSWERED = [0.62, 0.55, 0.44, 0.43, 0.33]
_UNANSWERED = [0.45, 0.38, 0.36, 0.30]


class Threshold(Coded):
    """A threshold is a price list."""

    number = "08.3"
    title = "Choose the threshold"
    names = ("choose",)
    hints = (
        "For one threshold t: refused too much are `sum(s < t for s in answered)`, answered wrongly are "
        "`sum(s >= t for s in unanswered)`.",
        "The cost of t is the first number plus three times the second.",
        "Try each of the scores as t: `min(sorted(answered + unanswered), key=cost)`.",
    )
    code = """
def choose(answered, unanswered):
    def cost(t):
        return sum(s < t for s in answered) + 3 * sum(s >= t for s in unanswered)
    return min(sorted(answered + unanswered), key=cost)
"""
    why = (
        "There is no right threshold without prices. Here an invented answer is three times as bad as a refusal, and "
        "so the threshold is high. In a search box both cost little; with medicines, an invented answer costs "
        "everything."
    )
    also_correct = (
        "def choose(answered, unanswered):\n"
        "    best = None\n"
        "    for t in [i / 100 for i in range(101)]:\n"
        "        c = sum(s < t for s in answered) + 3 * sum(s >= t for s in unanswered)\n"
        "        if best is None or c < best[0]:\n"
        "            best = (c, t)\n"
        "    return best[1]",
    )
    mistakes = (
        (
            "def choose(answered, unanswered):\n    def cost(t):\n"
            "        return sum(s < t for s in answered) + sum(s >= t for s in unanswered)\n"
            "    return min(sorted(answered + unanswered), key=cost)",
            "three times",
        ),
        (
            "def choose(answered, unanswered):\n    def cost(t):\n"
            "        return 3 * sum(s < t for s in answered) + sum(s >= t for s in unanswered)\n"
            "    return min(sorted(answered + unanswered), key=cost)",
            "prices are exchanged",
        ),
        ("def choose(answered, unanswered):\n    return 0.0", "answers everything"),
        ("def choose(answered, unanswered):\n    return 1.0", "refuses everything"),
        ("def choose(answered, unanswered):\n    return 'high'", "a number"),
        ("choose = 0.46", "should be a function"),
    )

    def verify(self, choose: Callable[..., Any]) -> str:
        def prices(found: float, answered: list[float], unanswered: list[float]) -> tuple[int, int]:
            return sum(score < found for score in answered), sum(score >= found for score in unanswered)

        expect(callable(choose), "choose should be a function of answered and unanswered.")
        found = choose(list(_ANSWERED), list(_UNANSWERED))
        expect(isinstance(found, (int, float)) and not isinstance(found, bool), "choose should return a number.")
        refused, invented = prices(found, _ANSWERED, _UNANSWERED)
        expect(refused < 5, "this threshold refuses everything: five good answers are lost.")
        expect(invented < 4, "this threshold answers everything, also what nothing answers.")
        expect((refused, invented) != (0, 3), "the prices are exchanged: it is the invented answer that costs 3.")
        expect((refused, invented) != (1, 1), "an invented answer costs three times as much as a refusal.")
        total = refused + 3 * invented
        expect(total == 3, f"at {found} the cost is {total} ({refused} refused, {invented} invented): 3 is possible.")
        other = [0.9, 0.8, 0.7], [0.1, 0.2]
        expect(
            prices(choose(*map(list, other)), *other) == (0, 0), "where the two are apart, a threshold costs nothing."
        )
        return "Three good answers are refused, and nothing is invented."


class BeforeOthers(Open):
    """The decision to let others use it."""

    number = "08.5"
    title = "May others use it?"
    question = "Whose documents would you open in this way, and what has to be true before others may ask them?"
    rubric = (
        "names the documents, who may see which, and where access is decided: before the search;",
        "has questions with their passages, and a recall with an interval, measured on documents of that kind;",
        "says what happens where nothing answers, and what a wrong answer would cost there;",
        "says how the index follows when a document changes or has to be deleted, vectors too.",
    )
    example = (
        "The rules of our sports club, 40 pages, open to all members; the minutes of the board are in an index of "
        "their own that only the board can search. I wrote 60 questions from last year's letters: recall at 5 is 57 of "
        "60 (interval 86 to 98 %). Below the threshold it shows the three nearest passages and no answer. Each answer "
        "shows its passage. When a page changes, its vectors are made anew in the same night; when a member leaves, "
        "texts and vectors with the name are deleted."
    )
    hints = (
        "Section 6 has four ways in which it goes wrong: which of them would hurt most with your documents?",
        "Who writes the questions that you measure with? Not the one who built the search.",
    )
