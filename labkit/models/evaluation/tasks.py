"""Tasks: short answers compared exactly, JSON that parses, and whether two models write the same continuation.

The data was written for the course (assets/evaluation/README.md) and is small: a score of 32 questions moves by 3
points with one of them. Knows nothing of how a model was made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.models.evaluation import scores
from labkit.models.evaluation.scores import answers, score

_BATCH = 8
_SHOTS = [
    {"role": "user", "content": "What is the capital of Poland? Answer with one or two words."},
    {"role": "assistant", "content": "Warsaw"},
    {"role": "user", "content": "What is 4 + 4? Answer with one or two words."},
    {"role": "assistant", "content": "8"},
]
_JSON_TASK = 'Write the name, the job and the city as JSON with the keys "name", "job" and "city": '
_JSON_SHOTS = [
    {"role": "user", "content": _JSON_TASK + "Anna is a doctor from Paris."},
    {"role": "assistant", "content": '{"name": "Anna", "job": "doctor", "city": "Paris"}'},
    {"role": "user", "content": _JSON_TASK + "In Rome, Luca works as a cook."},
    {"role": "assistant", "content": '{"name": "Luca", "job": "cook", "city": "Rome"}'},
]


def data(name: str) -> list[dict[str, Any]]:
    """The items of `exact_match` or `json_validity`, as they are in assets/evaluation."""
    lines = assets.path("evaluation", f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def exact_match(
    model: Any, tokenizer: Any, items: Sequence[dict[str, Any]] | None = None, *, quiet: bool = False
) -> scores.Score:
    """Questions with one short answer, after two examples; right if the answer is one of `answers`.

    Case, a full stop at the end, and what comes after the first line do not count; everything else does.
    """
    items = data("exact_match") if items is None else items
    conversations = [[*_SHOTS, _user(f"{item['question']} Answer with one or two words.")] for item in items]
    written = answers(model, tokenizer, conversations, new_tokens=8, batch=_BATCH, quiet=quiet)
    found = [text.strip().splitlines()[0] if text.strip() else "" for text in written]
    right = [_plain(text) in map(_plain, item["answers"]) for text, item in zip(found, items, strict=True)]
    asked, wanted = [item["question"] for item in items], [item["answers"][0] for item in items]
    return score(asked, wanted, found, right)


def json_validity(
    model: Any, tokenizer: Any, items: Sequence[dict[str, Any]] | None = None, *, quiet: bool = False
) -> scores.Score:
    """Sentences to be written as JSON, after two examples; right if it parses and has exactly the three keys, as texts.

    Whether the values are right is not asked: the column `values_right` of the rows says it.
    """
    items = data("json_validity") if items is None else items
    conversations = [[*_JSON_SHOTS, _user(_JSON_TASK + item["sentence"])] for item in items]
    found = answers(model, tokenizer, conversations, batch=_BATCH, quiet=quiet)
    parsed = [_json(text) for text in found]
    asked = [item["sentence"] for item in items]
    wanted = [{key: item[key] for key in ("name", "job", "city")} for item in items]
    right = [one is not None and one.keys() == w.keys() for one, w in zip(parsed, wanted, strict=True)]
    result = score(asked, [json.dumps(one) for one in wanted], found, right)
    result.rows["values_right"] = [one == w for one, w in zip(parsed, wanted, strict=True)]
    return result


def continuations(
    model: Any, documents: Any, *, prompt: int = 48, new_tokens: int = 24, quiet: bool = False
) -> list[list[int]]:
    """What the model writes, greedily, after the first `prompt` tokens of each document: token ids, one list each.

    Exactly `new_tokens`, whatever the end token says, so that two models can be compared place by place.
    """
    import torch

    starts = list(documents.values()) if hasattr(documents, "values") else list(documents)
    if any(len(ids) < prompt for ids in starts):
        raise LabError(f"A document has fewer than {prompt} tokens: give longer ones, or a smaller prompt=.")
    ids = torch.stack([one[:prompt] for one in starts]).to(model.device)
    options = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False}
    options["stopping_criteria"] = [_counted(new_tokens, quiet)]
    with torch.inference_mode():
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
    return output[:, prompt:].tolist()


def _counted(new_tokens: int, quiet: bool) -> Any:
    """A stopping criterion of `generate` that never stops: it moves a progress bar at each token."""
    import torch
    from transformers import StoppingCriteria

    steps = iter(bar(range(new_tokens), "Writing on", quiet=quiet))
    next(steps)

    class Counted(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
            next(steps, None)
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    return Counted()


def agreement(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> float:
    """The share of tokens before the first difference: 1 where two models write the same, 0 where the first differs.

    >>> agreement([[1, 2, 3, 4]], [[1, 2, 9, 4]])
    0.5
    """
    shares = []
    for a, b in zip(one, other, strict=True):
        same = next((place for place, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))
        shares.append(same / len(a))
    return sum(shares) / len(shares)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _plain(text: str) -> str:
    return text.strip().rstrip(".").strip().lower()


def _json(text: str) -> dict[str, Any] | None:
    """A flat JSON object with texts as values, or None; spaces around it do not count, other text does."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()) else None
