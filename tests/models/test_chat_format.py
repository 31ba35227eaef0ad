"""Templates as they are out there: without a place for a system message, strict about turns, or missing."""

from __future__ import annotations

import copy

import pytest

from labkit.base.errors import LabError
from labkit.models import local
from labkit.models.evaluation import scores
from labkit.models.finetuning import chat

# In the manner of Gemma 2 and of Mistral's first templates, which raise in these words.
GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SYSTEM = {"role": "system", "content": "Answer in one word."}
QUESTION = {"role": "user", "content": "What is the capital of Japan?"}
ANSWER = {"role": "assistant", "content": "Tokyo"}


@pytest.fixture
def strict(pair):
    """The course model with a template that knows no system message."""
    model, tokenizer = pair
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = GEMMA
    return model, tokenizer


def test_the_instruction_comes_before_the_first_question_where_there_is_no_place_for_it(strict):
    model, tokenizer = strict
    joined = [{"role": "user", "content": f"{SYSTEM['content']}\n\n{QUESTION['content']}"}]
    settings = {"model": model, "tokenizer": tokenizer, "max_new_tokens": 4}
    assert local.chat([SYSTEM, QUESTION], **settings) == local.chat(joined, **settings)
    assert chat.encode([SYSTEM, QUESTION, ANSWER], tokenizer) == chat.encode([*joined, ANSWER], tokenizer)
    assert scores.answers(model, tokenizer, [[SYSTEM, QUESTION]], new_tokens=4) == scores.answers(
        model, tokenizer, [joined], new_tokens=4
    )


@pytest.mark.parametrize("turns", [[QUESTION, QUESTION], [SYSTEM, ANSWER], [ANSWER], [SYSTEM]])
def test_what_a_template_refuses_is_a_sentence(strict, turns):
    model, tokenizer = strict
    with pytest.raises(LabError, match=r"chat template refuses the conversation \(.+\): begin with a question"):
        local.chat(turns, model=model, tokenizer=tokenizer, max_new_tokens=1)
