"""The exercises of lesson 05, Run a model on your own machine."""

from __future__ import annotations

from typing import Any

from labkit.lessons.exercises.coded import Coded, Wrong, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class TopP(Coded):
    """Top-p in six lines, checked against cases worked out by hand and against the library's own rule."""

    number = "05.1"
    title = "Top-p in six lines"
    names = ("top_p",)
    hints = (
        "Sort the probabilities, the largest first: `probs.sort(descending=True)` gives the values and where each was.",
        "`values.cumsum(0)` adds them up. A token is kept as long as the sum of those *before* it is below p.",
        "Put zeros where tokens are cut, bring the rest back to their places with the indices, divide by the sum.",
    )
    code = """
import torch


def top_p(probs, p):
    values, places = probs.sort(descending=True)
    before = values.cumsum(0) - values
    values = torch.where(before < p, values, 0.0)
    kept = torch.zeros_like(probs)
    kept[places] = values
    return kept / kept.sum()
"""
    why = (
        "`before` is the sum of everything better. A token is kept while that is below p, so the token that crosses "
        "the line is kept too: otherwise a very sure model would keep nothing at all."
    )
    also_correct = (
        """
import torch


def top_p(probs, p):
    kept, total = torch.zeros_like(probs), 0.0
    for place in probs.argsort(descending=True).tolist():
        if total >= p:
            break
        kept[place] = probs[place]
        total += probs[place].item()
    return kept / total
""",
    )
    mistakes = (
        (
            "def top_p(probs, p):\n    kept = probs * (probs >= p)\n    return kept / kept.sum()",
            "compare each probability with p",
        ),
        (
            "def top_p(probs, p):\n    v, i = probs.sort(descending=True)\n    v = v * (v.cumsum(0) <= p)\n"
            "    k = probs * 0\n    k[i] = v\n    return k / k.sum()",
            "the token that crosses p",
        ),
        (
            "def top_p(probs, p):\n    v, i = probs.sort(descending=True)\n    v = v * (v.cumsum(0) - v < p)\n"
            "    k = probs * 0\n    k[i] = v\n    return k",
            "sums to 1 again",
        ),
        (
            "def top_p(probs, p):\n    v, i = probs.sort(descending=True)\n    v = v * (v.cumsum(0) - v < p)\n"
            "    return v / v.sum()",
            "own place",
        ),
        ("def top_p(probs, p):\n    probs.sort()", "forget `return`"),
    )

    def verify(self, top_p: Any) -> str:
        import torch

        expect(callable(top_p), f"top_p should be a function, and is a {type(top_p).__name__}.")
        mixed = torch.tensor([0.1, 0.5, 0.1, 0.3])
        self._compare(top_p, mixed, 0.75, torch.tensor([0.0, 0.625, 0.0, 0.375]))
        self._compare(top_p, torch.tensor([0.05, 0.9, 0.05]), 0.5, torch.tensor([0.0, 1.0, 0.0]))
        self._compare(top_p, mixed, 1.0, mixed)
        large = torch.randn(1000, generator=torch.Generator().manual_seed(5)).mul(3).softmax(0)
        self._compare(top_p, large, 0.9, self._reference(large, 0.9))
        return "It also agrees with the library's own top-p on 1,000 tokens."

    @staticmethod
    def _reference(probs: Any, p: float) -> Any:
        from transformers import TopPLogitsWarper

        return TopPLogitsWarper(p)(None, probs.log()[None])[0].softmax(0)

    @staticmethod
    def _compare(top_p: Any, probs: Any, p: float, expected: Any) -> None:
        import torch

        found = top_p(probs.clone(), p)
        if found is None:
            raise Wrong("top_p returned None: did you forget `return`?")
        expect(isinstance(found, torch.Tensor), f"top_p should return a tensor, and returned a {type(found).__name__}.")
        expect(found.shape == probs.shape, f"the result has shape {list(found.shape)}, the input {list(probs.shape)}.")
        if torch.allclose(found, expected, atol=1e-5):
            return
        small = len(probs) < 10
        case = f"For {[round(x, 2) for x in probs.tolist()]} and p={p}" if small else f"For 1,000 tokens and p={p}"
        if found.isnan().any() or not (found > 0).any():
            raise Wrong(f"{case} nothing is kept: do you compare each probability with p? Compare the sum so far.")
        kept, wanted = int((found > 0).sum()), int((expected > 0).sum())
        if kept < wanted:
            raise Wrong(
                f"{case} you keep {kept} tokens instead of {wanted}: the token that crosses p belongs to the set."
            )
        if kept > wanted:
            raise Wrong(f"{case} you keep {kept} tokens instead of {wanted}: stop once the sum has reached p.")
        if not is_close(float(found.sum()), 1.0):
            raise Wrong(f"{case} the result sums to {float(found.sum()):.3f}: scale it so that it sums to 1 again.")
        raise Wrong(f"{case} the right values come at the wrong positions: bring each token back to its own place.")


class Conversations(Coded):
    """How many conversations a GPU holds, for two models that differ in their key-value heads."""

    number = "05.2"
    title = "How many conversations fit?"
    names = ("llama2_7b", "mistral_7b")
    hints = (
        "One conversation: layers × key-value heads × numbers a head × 2 (key and value) × bytes × tokens.",
        "For LLaMA-2-7B that is 32 × 32 × 128 × 2 × 2 × 4096 bytes. What is left of 24 GB for them?",
        "(24 GB - 13.5 GB) divided by that, rounded down. Mistral-7B's conversation is a quarter of the size.",
    )
    code = """
one = 32 * 32 * 128 * 2 * 2 * 4096
llama2_7b = (24e9 - 13.5e9) // one
mistral_7b = (24e9 - 14.5e9) // (one / 4)
"""
    why = (
        "One conversation takes 2.1 GB in LLaMA-2-7B and 0.54 GB in Mistral-7B. The weights are nearly the same, yet "
        "one serves four users and the other seventeen: this is why nearly every model since shares keys and values."
    )
    also_correct = ("import math\nllama2_7b, mistral_7b = math.floor(10.5e9 / 2**31), int(9.5e9 / 2**29)",)
    mistakes = (
        ("llama2_7b, mistral_7b = 5, 18", "round down"),
        ("llama2_7b, mistral_7b = 4.89, 17.7", "round down"),
        ("llama2_7b, mistral_7b = 9, 35", "a key *and* a value"),
        ("llama2_7b, mistral_7b = 2, 8", "2 bytes"),
        ("llama2_7b, mistral_7b = 11, 44", "weights are there too"),
        ("llama2_7b, mistral_7b = 4, 4", "8 key-value heads"),
        ("llama2_7b, mistral_7b = 'four', 'seventeen'", "should be a number"),
        ("llama2_7b, mistral_7b = 1, 1", "what is left"),
    )

    def verify(self, llama2_7b: Any, mistral_7b: Any) -> str:
        found = (number_of(llama2_7b, "llama2_7b"), number_of(mistral_7b, "mistral_7b"))
        slips = {
            (5, 18): "a part of a conversation does not help anybody: round down.",
            (9, 35): "each token keeps a key *and* a value, twice what you counted.",
            (2, 8): "each number has 2 bytes, not 4.",
            (11, 44): "the weights are there too: take them off the 24 GB first.",
        }
        for values, slip in slips.items():
            expect(found != values, slip)
        expect(all(value == int(value) for value in found), "only whole conversations count: round down.")
        expect(found[0] == 4, f"llama2_7b is {found[0]:g}: divide what is left beside the weights by one conversation.")
        expect(found[1] != 4, "llama2_7b is right; for Mistral-7B count 8 key-value heads in place of 32.")
        expect(
            found[1] == 17, f"llama2_7b is right; mistral_7b is {found[1]:g}: its conversation is a quarter as large."
        )
        return "Four users or seventeen: that is what sharing keys and values is worth."


class ChooseSetup(Open):
    """A choice of model, precision and engine, with the numbers that decide it."""

    number = "05.4"
    title = "Choose a set-up for a laptop"
    question = "Which model, precision and engine for a laptop with 16 GB, no GPU, and private documents? Give numbers."
    rubric = (
        "names one model and its number of parameters;",
        "computes weights = parameters × bytes, and adds the cache for the length of document she needs;",
        "leaves room: the system and other programs need 3 to 5 of the 16 GB;",
        "names an engine that is fast without a GPU, and says why (4 bits, memory bandwidth);",
        "says what she gives up, and how she would find out whether it is good enough.",
    )
    example = (
        "Mistral-7B-Instruct in 4 bits: 7.2 billion parameters × 4.5 bits are about 4.1 GB, and the cache of 8,192 "
        "tokens in 16 bits is 1 GiB, so it fits beside everything else; in 16 bits it would need 14.5 GB and would "
        "not. llama.cpp, because it reads 4-bit weights directly and speed follows the bytes read. She gives up some "
        "quality against larger models: twenty of her own questions with known answers will tell whether it matters."
    )
    hints = (
        "Start from what fits: parameters × bytes, plus the cache, below about 11 GB.",
        "Section 5 has the sizes of five models in three precisions; section 6 compares engines.",
    )
