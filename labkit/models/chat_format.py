"""A conversation in the form that a model was trained on: its own chat template, and what to do where it refuses.

Knows messages and templates. Knows nothing of what a model answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.base.errors import LabError


def templated(tokenizer: Any, conversation: Sequence[dict[str, str]], **options: Any) -> Any:
    """What `tokenizer.apply_chat_template(conversation, **options)` gives.

    Some templates have no place for a system message (Gemma 2, early Mistral): its text then comes before the first
    question, as their makers advise. LabError when there is no template, or when it refuses in spite of that.
    """
    from jinja2.exceptions import TemplateError

    if tokenizer.chat_template is None:
        raise LabError("This model has no chat template: it is a base model; choose the instruct or chat version.")
    try:
        return tokenizer.apply_chat_template(list(conversation), **options)
    except TemplateError as problem:
        reason = problem
    if joined := _without_system(conversation):
        try:
            return tokenizer.apply_chat_template(joined, **options)
        except TemplateError as problem:
            reason = problem
    raise LabError(
        f"This model's chat template refuses the conversation ({str(reason).rstrip('.')}): begin with a question of "
        "the user's, and let user and assistant take turns."
    )


def _without_system(conversation: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The same conversation with the system message at the head of the first question; [] where there is none."""
    if len(conversation) < 2 or [turn["role"] for turn in conversation[:2]] != ["system", "user"]:
        return []
    system, first, *rest = conversation
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
