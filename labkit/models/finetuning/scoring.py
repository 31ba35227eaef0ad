"""How good the answers are: exact match with its uncertainty, the baselines without training, what was forgotten.

Greedy decoding, so a score is the same each time on one machine. Memory is bounded: a few conversations at once.
Knows answers. Knows nothing of how a model was trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models.finetuning import chat

if TYPE_CHECKING:
    import pandas

# For a model that was not trained on the task: what to do, in full.
FULL_INSTRUCTION = (
    "Copy the name and the amount from the note, and write its date in digits, as day/month. "
    'Answer only with JSON, as in {"name": "Ann Lee", "amount": 12.5, "date": "9/4"}'
)
_NEW_TOKENS = 40
Row = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """`correct` of `total`; `rows` is a table with asked, wanted, answered and right."""

    correct: int
    total: int
    rows: pandas.DataFrame

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
    model: Any, tokenizer: Any, conversations: Sequence[list[chat.Message]], *, new_tokens: int = _NEW_TOKENS, batch=16
) -> list[str]:
    """Greedy answers to conversations, `batch` at once, of at most `new_tokens` tokens each.

    Conversations of like length are computed together: padding costs time and memory. The order stays the caller's.
    """
    import torch

    if tokenizer.pad_token_id is None:
        raise LabError("This tokenizer has no padding token: set tokenizer.pad_token = tokenizer.eos_token.")
    texts = [tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in conversations]
    prompts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    places = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found, was_training = [""] * len(prompts), model.training
    model.eval()
    for start in range(0, len(places), batch):
        part = places[start : start + batch]
        examples = [{"input_ids": prompts[place], "labels": prompts[place]} for place in part]
        inputs = chat.batch_for(model, examples, pad=tokenizer.pad_token_id)
        del inputs["labels"]
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        written = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for place, text in zip(part, written, strict=True):
            found[place] = text
    model.train(was_training)
    machine.release_memory()
    return found


def exact_match(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    *,
    instruction: str = chat.INSTRUCTION,
    shots: Sequence[Row] | Callable[[Row], Sequence[Row]] = (),
    batch: int = 16,
) -> Score:
    """Notes answered exactly: the whole answer is JSON, with the three keys and the three values, and nothing else.

    Spaces inside the JSON do not count; a sentence or a code fence around it does. `shots` are rows that are shown as
    examples in the conversation first (few-shot), or a function that finds them for a row (retrieval); `instruction` is
    the system message.
    """
    system = {"role": "system", "content": instruction}
    conversations = []
    for row in rows:
        solved = shots(row) if callable(shots) else shots
        shown = [message for one in solved for message in chat.messages(one)[1:]]
        conversations.append([system, *shown, {"role": "user", "content": row["note"]}])
    found = answers(model, tokenizer, conversations, batch=batch)
    right = [same_json(text, row["answer"]) for text, row in zip(found, rows, strict=True)]
    return _score([row["note"] for row in rows], [row["answer"] for row in rows], found, right)


def same_json(text: str, wanted: str) -> bool:
    """Whether a text is the wanted JSON object: same keys, same values, nothing around it.

    >>> same_json('{"amount": 5.0, "name": "A"}', '{"name": "A", "amount": 5}'), same_json('```json', '{}')
    (True, False)
    """
    try:
        found = json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        return False
    right = json.loads(wanted)
    # True == 1 in Python, but not in JSON.
    return found == right and [type(v) is bool for v in found.values()] == [type(right[k]) is bool for k in found]


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def reproduced(model: Any, tokenizer: Any, rows: Sequence[Row], *, batch: int = 8) -> list[bool]:
    """For each row, whether greedy decoding would write its answer to the letter, found without generating anything.

    The model reads the right answer, and must find each of its tokens the likeliest where it stands: if it does so at
    all places, it would have written them one after the other. Reading is several times faster than writing. It is
    stricter than `exact_match`, where spaces do not count.
    """
    import torch

    examples = [chat.encode(chat.messages(row), tokenizer) for row in rows]
    was_training, found = model.training, []
    model.eval()
    for start in range(0, len(examples), batch):
        inputs = chat.batch_for(model, examples[start : start + batch], pad=tokenizer.pad_token_id)
        with torch.inference_mode():
            logits, wanted = chat.answer_logits(model, inputs)
        found += ((logits.argmax(-1) == wanted) | (wanted == chat.IGNORED)).all(1).tolist()
    model.train(was_training)
    return found


def general(model: Any, tokenizer: Any, rows: Sequence[Row] | None = None, *, batch: int = 16) -> Score:
    """Simple questions about the world, asked as a user would: what fine-tuning for another task may destroy.

    Right if one of the accepted answers stands in the answer as a word or words; case does not count. LabError never.
    """
    rows = teaching_data.load("general", "test") if rows is None else rows
    conversations = [[{"role": "user", "content": row["question"]}] for row in rows]
    found = answers(model, tokenizer, conversations, new_tokens=24, batch=batch)
    right = [accepts(row["answers"], text) for text, row in zip(found, rows, strict=True)]
    return _score([row["question"] for row in rows], [row["answers"][0] for row in rows], found, right)


def accepts(accepted: Sequence[str], text: str) -> bool:
    """Whether one of the accepted answers stands in a text as whole words.

    >>> accepts(["Paris"], "It is paris."), accepts(["12"], "There are 120.")
    (True, False)
    """
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    wanted = ["".join(c if c.isalnum() else " " for c in one.lower()).split() for one in accepted]
    return any(words[at : at + len(one)] == one for one in wanted for at in range(len(words)))


def _score(asked: list[str], wanted: list[str], found: list[str], right: list[bool]) -> Score:
    import pandas

    rows = pandas.DataFrame({"asked": asked, "wanted": wanted, "answered": found, "right": right})
    return Score(sum(right), len(right), rows)
