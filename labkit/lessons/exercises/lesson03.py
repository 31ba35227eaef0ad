"""The exercises of lesson 03, Find a model on the Hub."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, Wrong, expect, number_of
from labkit.lessons.exercises.questions import Open


class CountHeader(Coded):
    """How many parameters a safetensors header promises."""

    number = "03.1"
    title = "Count what a header promises"
    names = ("count",)
    hints = (
        "The header is a dictionary: a tensor's name, and for it `dtype`, `shape` and `data_offsets`.",
        "A tensor of shape [3, 4] has 3 × 4 numbers: `math.prod(shape)`. One entry is no tensor.",
        "Leave out the entry `__metadata__`, and add up `math.prod(entry['shape'])` of all others.",
    )
    code = """
import math


def count(header):
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
"""
    why = (
        "The header has every shape, so the count is known before a weight is downloaded. `__metadata__` is a note by "
        "whoever wrote the file. A shape of [] is a single number: the product of nothing is 1."
    )
    also_correct = (
        """
def count(header):
    total = 0
    for entry in header.values():
        if "shape" in entry:
            numbers = 1
            for side in entry["shape"]:
                numbers *= side
            total += numbers
    return total
""",
        """
def count(header):
    sizes = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}
    tensors = [entry for name, entry in header.items() if not name.startswith("__")]
    return sum((entry["data_offsets"][1] - entry["data_offsets"][0]) // sizes[entry["dtype"]] for entry in tensors)
""",
    )
    mistakes = (
        ("def count(header):\n    return len(header)", "how many tensors"),
        (
            "def count(header):\n"
            "    return sum(sum(entry['shape']) for name, entry in header.items() if name != '__metadata__')",
            "multiply",
        ),
        (
            "def count(header):\n"
            "    tensors = [entry['data_offsets'] for name, entry in header.items() if name != '__metadata__']\n"
            "    return sum(end - start for start, end in tensors)",
            "bytes",
        ),
        (
            "import math\ndef count(header):\n    shapes = [entry.get('shape', [1]) for entry in header.values()]\n"
            "    return sum(math.prod(shape) for shape in shapes)",
            "__metadata__",
        ),
        (
            "import math\ndef count(header):\n    return sum(math.prod(entry['shape']) for entry in header.values())",
            "has no shape",
        ),
        (
            "import math\ndef count(header):\n    del header['__metadata__']\n"
            "    return sum(math.prod(entry['shape']) for entry in header.values())",
            "work on a copy",
        ),
        ("def count(header):\n    print(header)", "forget `return`"),
        ("def count(header):\n    return 50", "50"),
    )

    def verify(self, count: Any) -> str:
        expect(callable(count), "count should be a function that takes a header.")
        header = {
            "__metadata__": {"format": "pt"},
            "embed.weight": {"dtype": "F16", "shape": [10, 4], "data_offsets": [0, 80]},
            "norm.weight": {"dtype": "F32", "shape": [4], "data_offsets": [80, 96]},
            "scale": {"dtype": "F32", "shape": [], "data_offsets": [96, 100]},
        }
        try:
            counted = count(header)
        except KeyError:
            raise Wrong("`__metadata__` is no tensor and has no shape: leave it out.") from None
        found = number_of(counted, "count(header)")
        expect(found not in (3, 4), "that is how many tensors there are: count the numbers in them.")
        expect(found != 18, "multiply the sides of a shape: [10, 4] has 40 numbers.")
        expect(found != 100, "those are bytes: a number has 2 or 4 of them here.")
        expect(found != 46, "`__metadata__` is no tensor: leave it out.")
        expect(found == 45, f"for the small header of the check it gives {found:,.0f}, and it should give 45.")
        other = {"w": {"dtype": "U8", "shape": [2, 3, 5], "data_offsets": [0, 30]}}
        without = "a header without `__metadata__` should work too."
        try:
            expect(number_of(count(other), "count(header)") == 30, without)
        except KeyError:
            raise Wrong(without) from None
        return "Try it on the header that you read in section 3."


class Smallest(Coded):
    """The smallest model that may be used and that fits, chosen by a function."""

    number = "03.2"
    title = "Choose the smallest that may"
    names = ("choose",)
    hints = (
        "A DataFrame is filtered by a condition: `table[table.licence == 'apache-2.0']`.",
        "Three conditions: the licence, `~table.gated`, and `table.weights_gb <= free_gb`. Join them with `&`.",
        "Then `.sort_values('parameters')`, and `.id.iloc[0]` is the smallest. If nothing is left: None.",
    )
    code = """
def choose(table, free_gb):
    good = table[(table.licence == "apache-2.0") & ~table.gated & (table.weights_gb <= free_gb)]
    return None if good.empty else good.sort_values("parameters").id.iloc[0]
"""
    why = (
        "Each condition is one question that you would otherwise answer by hand for every model. A size that is not "
        "known is not smaller than anything, so such a model drops out by itself: NaN <= 4 is false."
    )
    also_correct = (
        """
def choose(table, free_gb):
    rows = [row for row in table.itertuples() if row.licence == "apache-2.0" and not row.gated]
    rows = sorted((row for row in rows if row.weights_gb <= free_gb), key=lambda row: row.parameters)
    return rows[0].id if rows else None
""",
    )
    mistakes = (
        ("def choose(table, free_gb):\n    return table.sort_values('parameters').id.iloc[0]", "licence"),
        (
            "def choose(table, free_gb):\n    good = table[table.licence == 'apache-2.0']\n"
            "    return good.sort_values('parameters').id.iloc[0] if len(good) else None",
            "gated",
        ),
        (
            "def choose(table, free_gb):\n    good = table[(table.licence == 'apache-2.0') & ~table.gated]\n"
            "    return good.sort_values('parameters').id.iloc[0] if len(good) else None",
            "nothing fits",
        ),
        (
            "def choose(table, free_gb):\n"
            "    good = table[(table.licence == 'apache-2.0') & ~table.gated & (table.weights_gb <= free_gb)]\n"
            "    return good.sort_values('parameters').id.iloc[-1] if len(good) else None",
            "smallest",
        ),
        (
            "def choose(table, free_gb):\n"
            "    good = table[(table.licence == 'apache-2.0') & ~table.gated & (table.weights_gb <= free_gb)]\n"
            "    return None if good.empty else good.id.iloc[0]",
            "order",
        ),
        ("def choose(table, free_gb):\n    return table[table.licence == 'apache-2.0']", ".id.iloc[0]"),
        (
            "def choose(table, free_gb):\n"
            "    good = table[(table.licence == 'apache-2.0') & ~table.gated & (table.weights_gb <= free_gb)]\n"
            "    return good.sort_values('parameters').id.iloc[0]",
            "ask whether anything is left",
        ),
        (
            "def choose(table, free_gb):\n"
            "    return table[(table.licence == 'apache-2.0') and (table.weights_gb <= free_gb)].id.iloc[0]",
            "with `&`",
        ),
    )

    def verify(self, choose: Any) -> str:
        expect(callable(choose), "choose should be a function of a table and of the free memory.")
        table = _table()
        try:
            found = choose(table.copy(), 4.0)
        except ValueError as problem:
            expect(
                "truth value" not in str(problem), "join conditions on columns with `&`, each in brackets: no `and`."
            )
            raise
        expect(
            isinstance(found, str),
            f"choose should return an id, a text, and it returns a {type(found).__name__}: `.id.iloc[0]` is the first.",
        )
        expect(found != "maker/tiny", "tiny has another licence: look at the column `licence`.")
        expect(found != "maker/locked", "locked is gated: look at the column `gated`.")
        expect(found != "maker/middle" and found != "maker/large", f"{found} fits, and is not the smallest.")
        expect(found == "maker/small", f"it chose {found!r}, and the smallest that may is maker/small.")
        for order in (table.iloc[::-1], table.sort_values("weights_gb", ascending=False)):
            expect(choose(order.copy(), 4.0) == found, "the answer should not depend on the order of the rows: sort.")
        expect(choose(table.copy(), 0.8) == "maker/small", "0.8 GB are at most 0.8: use <= and not <.")
        try:
            nothing = choose(table.copy(), 0.5)
        except (IndexError, KeyError, ValueError):
            raise Wrong("with 0.5 GB nothing fits: ask whether anything is left before you take the first.") from None
        expect(nothing is None, "with 0.5 GB nothing fits: return None then.")
        return "Now give it the table of section 1 and what is free on your machine."


def _table() -> Any:
    import pandas

    rows = [
        ("maker/large", "apache-2.0", False, 3_000_000_000, 6.0),
        ("maker/tiny", "gemma", False, 100_000_000, 0.2),
        ("maker/small", "apache-2.0", False, 400_000_000, 0.8),
        ("maker/middle", "apache-2.0", False, 1_500_000_000, 3.0),
        ("maker/locked", "apache-2.0", True, 200_000_000, 0.4),
        ("maker/unsized", "apache-2.0", False, float("nan"), float("nan")),
    ]
    return pandas.DataFrame(rows, columns=["id", "licence", "gated", "parameters", "weights_gb"])


class Justify(Open):
    """The closing task: a model for this machine, in three sentences."""

    number = "03.4"
    title = "Justify your choice"
    question = (
        "Which Apache-2.0 model that converses would you use on this machine? Three sentences: which, why it may be "
        "used, why it fits. Add what you could not find out."
    )
    rubric = (
        "names one repository, and the commit if it is for work that lasts;",
        "says what the licence is and where it stands, in the card or in the files;",
        "compares a computed size, in a precision that is named, with the memory that is free;",
        "says which files would be loaded, and that they are safetensors or GGUF;",
        "names one thing that the Hub did not tell: quality on your own task, for example.",
    )
    example = (
        "SmolLM2-1.7B-Instruct by Hugging Face: its card says Apache-2.0, and its weights are safetensors. In 16 bits "
        "they take 3.4 GB, and 8 GB are free here, which leaves room for the text. Whether it is good enough for my "
        "letters, no page of the Hub could tell me: I would try twenty of them in lesson 05."
    )
    hints = (
        "`choose(labkit.hub.search(chat=True), free_gb)` gives a first answer; a larger one may be the better choice.",
        "Look at the card once more: what does it not say?",
    )
