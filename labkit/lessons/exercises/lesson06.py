"""The exercises of lesson 06, Quantization."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, Wrong, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class WithinBound(Coded):
    """A matrix in 4 bits, a scale a row, whose error stays within half a scale."""

    number = "06.1"
    title = "Quantize a matrix within its bound"
    names = ("quantize",)
    hints = (
        "The largest weight of each row, without its sign: `weights.abs().amax(1, keepdim=True)`. What is its code?",
        "4 bits, symmetric: codes from -7 to 7. So a row's scale is its largest weight divided by 7.",
        "codes = (weights / scale).round(); what comes back is codes * scale. Return both.",
    )
    code = """
def quantize(weights):
    scale = weights.abs().amax(1, keepdim=True) / 7
    codes = (weights / scale).round()
    return codes, codes * scale
"""
    why = (
        "Codes are whole numbers, so the nearest one is at most half a step away, and a step is one scale. The scale "
        "follows the row's largest weight: that is why one large weight makes all its neighbours coarse."
    )
    also_correct = (
        """
import torch


def quantize(weights):
    codes, restored = torch.zeros_like(weights), torch.zeros_like(weights)
    for row in range(len(weights)):
        scale = max(weights[row].max(), -weights[row].min()) / 7
        codes[row] = torch.clamp(torch.round(weights[row] / scale), -7, 7)
        restored[row] = codes[row] * scale
    return codes.int(), restored
""",
    )
    mistakes = (
        (
            "def quantize(w):\n    s = w.abs().max() / 7\n    c = (w / s).round()\n    return c, c * s",
            "one scale for the whole matrix",
        ),
        (
            "def quantize(weights):\n    s = weights.abs().amax(1, keepdim=True) / 127\n    c = (weights / s).round()\n"
            "    return c, c * s",
            "do not fit into 4 bits",
        ),
        (
            "def quantize(w):\n    s = w.amax(1, keepdim=True) / 7\n    c = (w / s).round().clamp(-7, 7)\n"
            "    return c, c * s",
            "negative weight",
        ),
        (
            "def quantize(weights):\n    s = weights.abs().amax(1, keepdim=True) / 7\n    c = (weights / s).trunc()\n"
            "    return c, c * s",
            "nearest code",
        ),
        (
            "def quantize(weights):\n    s = weights.abs().amax(1, keepdim=True) / 7\n    return weights / s, weights",
            "whole numbers",
        ),
        (
            "def quantize(weights):\n    s = weights.abs().amax(1, keepdim=True) / 7\n    c = (weights / s).round()\n"
            "    return c, c",
            "times the scale",
        ),
        ("def quantize(weights):\n    weights.round()", "forget `return`"),
    )

    def verify(self, quantize: Any) -> str:
        import torch

        expect(callable(quantize), f"quantize should be a function, and is a {type(quantize).__name__}.")
        generator = torch.Generator().manual_seed(6)
        weights = torch.randn(32, 64, generator=generator) * torch.logspace(-2, 0, 32)[:, None]
        weights[::2, 0] = -weights[::2].abs().amax(1) * 1.5  # the largest weight of each second row is negative
        found = quantize(weights.clone())
        expect(found is not None, "quantize returned None: did you forget `return`?")
        pair = isinstance(found, (tuple, list)) and len(found) == 2
        expect(pair, "quantize should return two tensors: the codes, and the weights that come back from them.")
        codes, restored = found
        for name, value in (("codes", codes), ("weights that come back", restored)):
            if not isinstance(value, torch.Tensor) or value.shape != weights.shape:
                raise Wrong(f"the {name} should be a tensor of the same shape as the weights, {list(weights.shape)}.")
        codes, restored = codes.float(), restored.float()
        expect(torch.equal(codes, codes.round()), "codes should be whole numbers: that is what makes them small.")
        count = int(codes.max() - codes.min()) + 1
        expect(count <= 16, f"your codes take {count} values and do not fit into 4 bits, which have 16.")
        self._bound(weights, codes, restored)
        return "No weight moves by more than half of its row's scale."

    @staticmethod
    def _bound(weights: Any, codes: Any, restored: Any) -> None:
        import torch

        moved = (restored - weights).abs()
        bound = weights.abs().amax(1, keepdim=True) / 14
        if bool((moved <= bound * 1.001).all()):
            return
        expect(not torch.equal(codes, restored), "what comes back should be the codes times the scale of their row.")
        row, column = divmod(int((moved / bound).argmax()), weights.shape[1])
        said = f"in row {row}, {weights[row, column]:.3f} comes back as {restored[row, column]:.3f}"
        few = sum(len(line.unique()) < 4 for line in codes)
        expect(few == 0, f"{said}: is there one scale for the whole matrix? {few} rows have hardly any codes left.")
        cut = column == 0 and float(moved[row, 0] / bound[row]) > 2.5  # where the largest weights are, all negative
        expect(not cut, f"{said}: a row's largest weight may be a negative weight; take abs first.")
        raise Wrong(f"{said}, more than half a scale away: does every weight get the nearest code?")


# The weights of Mistral-7B-v0.3, by the catalogue.
_PARAMETERS = 7_248_023_552


class ChooseFile(Coded):
    """The largest file that fits beside a cache and the system."""

    number = "06.2"
    title = "Choose a file for a laptop with 6 GB free"
    names = ("q4_gb", "file")
    hints = (
        "7,248,023,552 weights in 4.5 bits each: 4 bits for the code, half a bit for its share of a block's scale.",
        "Weights × 4.5 / 8 are bytes. Of the 6 GB, 0.5 GB go to 4,096 tokens of cache, and 0.4 GB to the program.",
        "5.1 GB are left for the file. Q8_0 has 8.5 bits a weight, Q6_K 6.56, Q5_K 5.5, Q4_K 4.5, Q2_K 2.63.",
    )
    code = """
weights = 7_248_023_552
q4_gb = weights * 4.5 / 8 / 1e9
bits = {"Q8_0": 8.5, "Q6_K": 6.5625, "Q5_K": 5.5, "Q4_K": 4.5, "Q2_K": 2.625}
file = max((name for name in bits if weights * bits[name] / 8 / 1e9 <= 6 - 0.5 - 0.4), key=bits.get)
"""
    why = (
        "Q4_K takes 4.08 GB and Q5_K 4.98 GB: both fit in the 5.1 GB that the cache and the program leave. Q6_K takes "
        "5.95 GB and would fit on the disk, but not in the memory beside a conversation. More bits are better as long "
        "as they fit; a longer conversation would turn the choice round to Q4_K."
    )
    also_correct = ('q4_gb = round(7.248 * 4.5 / 8, 2)\nfile = "q5_k"', 'q4_gb, file = 4.077, "Q5_K.gguf"')
    mistakes = (
        ('q4_gb, file = 7.248 * 4 / 8, "Q5_K"', "scale"),
        ('q4_gb, file = 7.248 * 4.5, "Q5_K"', "8 bits"),
        ('q4_gb, file = 4.08, "Q6_K"', "cache"),
        ('q4_gb, file = 4.08, "Q4_K"', "one more step"),
        ('q4_gb, file = 4.08, "Q2_K"', "one more step"),
        ('q4_gb, file = 4.08, "Q8_0"', "7.7 GB"),
        ('q4_gb, file = 4.08, "small"', "name of a file"),
        ('q4_gb, file = "four", "Q5_K"', "should be a number"),
        ('q4_gb, file = 5.5, "Q5_K"', "4.5 bits"),
    )

    def verify(self, q4_gb: Any, file: Any) -> str:
        size = number_of(q4_gb, "q4_gb")
        expect(not is_close(size, _PARAMETERS / 2e9, 0.005), "each block has a scale too: half a bit a weight.")
        expect(not is_close(size, _PARAMETERS * 4.5 / 1e9, 0.005), "that counts bits: 8 bits are a byte.")
        expect(is_close(size, _PARAMETERS * 4.5 / 8e9, 0.005), f"q4_gb is {size:g}: multiply the weights by 4.5 bits.")
        expect(isinstance(file, str), f"file should be a text such as 'Q4_K', and is a {type(file).__name__}.")
        name = file.strip().upper().removesuffix(".GGUF")
        kinds = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q2_K")
        expect(name in kinds, f"{file!r} is not the name of a file here: choose one of {', '.join(kinds)}.")
        expect(name != "Q8_0", "Q8_0 alone takes 7.7 GB, more than there is.")
        expect(name != "Q6_K", "Q6_K takes 5.95 GB: it fits alone, but not beside the cache and the program.")
        expect(name == "Q5_K", f"{name} fits, but it is not the best that does: try one more step up.")
        return "5.0 GB of file, 0.5 GB of cache, 0.4 GB of program: it just fits."


class FindOutlier(Coded):
    """The column that makes a row's scale large."""

    number = "06.3"
    title = "Find the outlier"
    names = ("find",)
    hints = (
        "An outlier is large against its own row: divide each weight, without its sign, by what is usual in its row.",
        "What is usual must not be moved by the outlier itself: the median is not, the mean is, a little.",
        "ratio = weights.abs() / weights.abs().median(1, keepdim=True).values; where is it largest?",
    )
    code = """
def find(weights):
    ratio = weights.abs() / weights.abs().median(1, keepdim=True).values
    place = ratio.argmax().item()
    return place // weights.shape[1], place % weights.shape[1]
"""
    why = (
        "What ruins a row is not a large weight but one that is large for its row: the scale follows it, and the "
        "others fall onto a few codes. The largest weight of all may stand in a row where all are large, and do no "
        "harm."
    )
    also_correct = (
        """
def find(weights):
    best, where = 0.0, None
    for row in range(weights.shape[0]):
        size = weights[row].abs()
        others = size.sort().values[:-1].mean()
        if float(size.max() / others) > best:
            best, where = float(size.max() / others), (row, int(size.argmax()))
    return where
""",
    )
    mistakes = (
        (
            "def find(weights):\n    p = weights.abs().argmax().item()\n"
            "    return p // weights.shape[1], p % weights.shape[1]",
            "large for its row",
        ),
        (
            "def find(w):\n    r = w / w.abs().median(1, keepdim=True).values\n    p = r.argmax().item()\n"
            "    return p // w.shape[1], p % w.shape[1]",
            "sign",
        ),
        (
            "def find(weights):\n    r = weights.abs() / weights.abs().median(1, keepdim=True).values\n"
            "    p = r.argmax().item()\n    return p % weights.shape[1], p // weights.shape[1]",
            "row first",
        ),
        ("def find(weights):\n    return weights.abs().argmax().item()", "two whole numbers"),
        ("def find(weights):\n    weights.abs().max()", "forget `return`"),
        ("def find(weights):\n    return 0, 0", "not the weight"),
    )

    def verify(self, find: Any) -> str:
        import torch

        expect(callable(find), f"find should be a function, and is a {type(find).__name__}.")
        for row, column, sign in ((11, 40, 1.0), (3, 17, -1.0)):
            weights = torch.randn(16, 64, generator=torch.Generator().manual_seed(row)) * 0.02
            weights[7] *= 100  # large, all of it
            weights[row, column] = sign * 1.2
            self._compare(find(weights.clone()), weights, row, column)
        return "With it gone, the row's scale falls to a twentieth, and so does the error of its neighbours."

    @staticmethod
    def _compare(found: Any, weights: Any, row: int, column: int) -> None:
        expect(found is not None, "find returned None: did you forget `return`?")
        pair = isinstance(found, (tuple, list)) and len(found) == 2
        expect(pair, "find should return two whole numbers: the row and the column.")
        place = tuple(int(number_of(value, "a place")) for value in found)
        if place == (row, column):
            return
        expect(place != (column, row), "right numbers, the wrong way round: row first, then column.")
        expect(place[0] != 7, "that weight is large, but not large for its row: all of row 7 is. Compare within rows.")
        if weights[row, column] < 0:
            raise Wrong(f"for an outlier of {weights[row, column]:.1f} you find {place}: does the sign mislead you?")
        raise Wrong(f"{place} is not the weight that stands out from its row: compare each with its row's median.")


class DefendFile(Open):
    """A choice of file for a case of one's own, defended with measurements."""

    number = "06.5"
    title = "Choose and defend a file"
    question = (
        "Which model file would you ship for a case that you know? Give size, memory, speed, and how you tested it."
    )
    rubric = (
        "names a model, a file type and an engine, and says what the name of the type means;",
        "computes weights × bits / 8, adds the cache for its longest conversation, and leaves room for the system;",
        "gives a speed that was measured on the machine in question, or says that it was not;",
        "says what was tested beside perplexity, on how many examples, and how large chance is for so few;",
        "names what would change the choice: longer texts, a GPU, a task that fails, the licence.",
    )
    example = (
        "Mistral-7B-Instruct as Q5_K with llama.cpp, for notes of a doctor's practice on a laptop with 16 GB. The file "
        "has 5.0 GB (5.5 bits a weight), 8,192 tokens of cache 1 GB, and 4 GB go to the system. I measured 6 tokens a "
        "second, which is enough for a summary over lunch. Of forty old notes with known answers, the full model had "
        "36 right and this file 35; with forty, a difference under six says little. Q4_K had 29, so I paid "
        "the gigabyte. "
        "With a GPU of 24 GB I would take 16 bits; the licence, Apache-2.0, allows both."
    )
    hints = (
        "Begin with what must fit: file, cache, system. Then take the most bits that do.",
        "Which of the lesson's scores is nearest to your case? How many examples show a fall of ten points?",
    )
