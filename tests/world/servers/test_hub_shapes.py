"""The course's Hub answers in the shapes of the real one. Against huggingface.co only with `-m network` and HF_TOKEN.

A shape is which keys an answer has, and the type behind each. The course's Hub may leave out what it does not know;
what it does say has to be there on the real Hub too, and of the same type.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from huggingface_hub.utils import get_session

from labkit.world.hub.service import TOKEN, local_hub

REAL = "https://huggingface.co"
REAL_TOKEN = os.environ.get("HF_TOKEN", "")  # before the tests' own environment takes it away
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
CALLS = [
    f"/api/models/{MODEL}",
    f"/api/models/{MODEL}?blobs=true",
    f"/api/models/{MODEL}?expand=safetensors&expand=cardData&expand=gated",
    f"/api/models/{MODEL}/revision/main",
    f"/api/models/{MODEL}/tree/main?recursive=true",
    f"/api/models/{MODEL}/refs",
    f"/api/models/{MODEL}/commits/main",
    "/api/models?author=HuggingFaceTB&limit=3",
    "/api/models?author=HuggingFaceTB&limit=3&full=true&cardData=true&config=true",
    "/api/models?filter=license:apache-2.0&num_parameters=min:0.1B,max:0.2B&sort=createdAt&limit=2",
    "/api/models/meta-llama/Llama-2-7b-hf",
    "/api/whoami-v2",
]
ERRORS = [
    "/api/models/HuggingFaceTB/no-such-model",
    f"/api/models/{MODEL}/revision/no-such-branch",
    f"/{MODEL}/resolve/main/no-such-file.txt",
    "/meta-llama/Llama-2-7b-hf/resolve/main/config.json",
]
# Objects whose keys are names and not properties: a dtype, a field of somebody's card.
OPEN = ("cardData", "parameters", "config")


def differences(mine: Any, theirs: Any, place: str = "answer") -> list[str]:
    """Where `mine` says something that `theirs` does not have, or has as another type."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        found = [f"{place}.{key} is not there" for key in mine if key not in theirs]
        for key in mine.keys() & theirs.keys():
            if key not in OPEN:
                found += differences(mine[key], theirs[key], f"{place}.{key}")
        return found
    if isinstance(mine, list) and isinstance(theirs, list):
        return differences(mine[0], theirs[0], f"{place}[0]") if mine and theirs else []
    same = type(mine) is type(theirs) or {type(mine), type(theirs)} <= {bool, str} and place.endswith("gated")
    return [] if same else [f"{place} is {type(mine).__name__}, not {type(theirs).__name__}"]


def ask(endpoint: str, path: str, token: str) -> Any:
    return get_session().get(endpoint + path, headers={"Authorization": f"Bearer {token}"}, follow_redirects=True)


@pytest.fixture
def here(course_cache) -> str:
    return local_hub().url


@pytest.fixture
def there() -> str:
    if not REAL_TOKEN:
        pytest.skip("the real Hub is asked with a token: set HF_TOKEN")
    return REAL


def test_a_difference_would_be_noticed():
    assert differences({"id": "a", "likes": 3}, {"id": "a", "likes": "3"}) == ["answer.likes is int, not str"]
    assert differences([{"invented": 1}], [{"id": "a"}]) == ["answer[0].invented is not there"]
    assert differences({"gated": "manual"}, {"gated": False, "more": 1}) == []


def test_every_call_of_the_comparison_is_answered_here(here):
    for path in CALLS:
        assert ask(here, path, TOKEN).status_code == 200, path
    for path in ERRORS:
        assert ask(here, path, TOKEN).headers["X-Error-Message"], path


@pytest.mark.network
@pytest.mark.parametrize("path", CALLS)
def test_the_real_hub_says_at_least_what_the_courses_says(path, here, there):
    real = ask(there, path, REAL_TOKEN)
    assert real.status_code == 200
    assert differences(ask(here, path, TOKEN).json(), real.json()) == []


@pytest.mark.network
@pytest.mark.parametrize("path", ERRORS)
def test_refusals_are_the_real_ones(path, here, there):
    mine, real = ask(here, path, TOKEN), ask(there, path, REAL_TOKEN)
    # A token with access gets the gated file from the real Hub: that is not a refusal to compare.
    if real.status_code < 400:
        pytest.skip("this token was let in")
    assert mine.status_code == real.status_code
    assert mine.headers.get("X-Error-Code") == real.headers.get("X-Error-Code")
