"""How good the answers are: notes answered exactly, with and without training, and what was forgotten.

Knows the course's notes and questions. Knows nothing of how a model was trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from labkit.facts import teaching_data
from labkit.models.evaluation import scores
from labkit.models.evaluation.scores import answers, score
from labkit.models.finetuning import chat

# For a model that was not trained on the task: what to do, in full.
FULL_INSTRUCTION = (
    "Copy the name and the amount from the note, and write its date in digits, as day/month. "
    'Answer only with JSON, as in {"name": "Ann Lee", "amount": 12.5, "date": "9/4"}'
)
Row = dict[str, Any]


def exact_match(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    *,
    instruction: str = chat.INSTRUCTION,
    shots: Sequence[Row] | Callable[[Row], Sequence[Row]] = (),
    batch: int = 16,
) -> scores.Score:
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
    return score([row["note"] for row in rows], [row["answer"] for row in rows], found, right)


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
        raise ValueError("a key is there twice")
    return dict(pairs)


def reproduced(model: Any, tokenizer: Any, rows: Sequence[Row], *, batch: int = 8) -> list[bool]:
    """For each row, whether greedy decoding would write its answer to the letter, found without generating anything.

    The model reads the right answer. Where each token is the likeliest at its place, it would have written them one
    after the other. Reading is several times faster than writing. Stricter than `exact_match`, which ignores spaces.
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


def general(model: Any, tokenizer: Any, rows: Sequence[Row] | None = None, *, batch: int = 16) -> scores.Score:
    """Simple questions about the world, asked as a user would: what fine-tuning for another task may destroy.

    Right if one of the accepted answers stands in the answer as a word or words; case does not count.
    """
    rows = teaching_data.load("general", "test") if rows is None else rows
    conversations = [[{"role": "user", "content": row["question"]}] for row in rows]
    found = answers(model, tokenizer, conversations, new_tokens=24, batch=batch)
    right = [accepts(row["answers"], text) for text, row in zip(found, rows, strict=True)]
    return score([row["question"] for row in rows], [row["answers"][0] for row in rows], found, right)


def accepts(accepted: Sequence[str], text: str) -> bool:
    """Whether one of the accepted answers stands in a text as whole words.

    >>> accepts(["Paris"], "It is paris."), accepts(["12"], "There are 120.")
    (True, False)
    """
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    wanted = ["".join(c if c.isalnum() else " " for c in one.lower()).split() for one in accepted]
    return any(words[at : at + len(one)] == one for one in wanted for at in range(len(words)))
