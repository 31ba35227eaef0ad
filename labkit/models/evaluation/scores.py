"""What every task needs: greedy answers to many conversations, and a score of them with its uncertainty.

Greedy decoding, so a score is the same each time on one machine. Knows nothing of what is right (each task decides), or
of how a model was made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.models.chat_format import templated

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Score:
    """`correct` of `total`; `rows` is a table with asked, wanted, answered and right."""

    correct: int
    total: int
    rows: pd.DataFrame

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share of all such items lies, with 95 % confidence (`wilson`)."""
        return wilson(self.correct, self.total)

    def __repr__(self) -> str:
        low, high = self.interval
        return f"{self.correct} of {self.total}: {self.share:.0%} (95 % interval {low:.0%} to {high:.0%})"


def score(asked: Sequence[str], wanted: Sequence[str], answered: Sequence[str], right: Sequence[bool]) -> Score:
    """The score of these answers, one entry of each sequence an item."""
    import pandas as pd

    rows = pd.DataFrame({"asked": asked, "wanted": wanted, "answered": answered, "right": right})
    return Score(sum(right), len(right), rows)


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share; `z` 1.96 is 95 %. Unlike share +- 2 errors it never leaves 0 to 1.

    >>> low, high = wilson(38, 40)
    >>> f"{low:.3f} to {high:.3f}"
    '0.835 to 0.986'

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953. LabError unless 0 <= correct <= total.
    """
    if total < 1 or not 0 <= correct <= total:
        raise LabError(f"{correct} of {total} is no share: correct must be from 0 to total, and total above 0.")
    share, extra = correct / total, z * z / total
    middle = share + extra / 2
    half = z * math.sqrt(share * (1 - share) / total + extra / (4 * total))
    # Rounding must not put the ends of 0 and of all a hair outside.
    return max(0.0, (middle - half) / (1 + extra)), min(1.0, (middle + half) / (1 + extra))


def answers(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[list[dict[str, str]]],
    *,
    new_tokens: int = 40,
    batch: int = 16,
    quiet: bool = True,
) -> list[str]:
    """Greedy answers to conversations, `batch` at once, of at most `new_tokens` tokens each.

    Conversations of like length are computed together: padding costs time and memory. The order stays the caller's.
    """
    import torch

    if tokenizer.pad_token_id is None:
        raise LabError("This tokenizer has no padding token: set tokenizer.pad_token = tokenizer.eos_token.")
    texts = [templated(tokenizer, c, add_generation_prompt=True, tokenize=False) for c in conversations]
    places = sorted(range(len(texts)), key=lambda place: len(tokenizer(texts[place])["input_ids"]))
    found, was_training = [""] * len(texts), model.training
    model.eval()
    for start in bar(range(0, len(places), batch), "Asking the model", quiet=quiet):
        part = places[start : start + batch]
        padded = {"padding": True, "padding_side": "left", "add_special_tokens": False, "return_tensors": "pt"}
        inputs = tokenizer([texts[place] for place in part], **padded).to(model.device)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        written = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for place, text in zip(part, written, strict=True):
            found[place] = text
    model.train(was_training)
    machine.release_memory()
    return found
