"""The losses of `token_losses` from llama.cpp, which has no call for them.

The server reports the log-probability, before any rule of sampling, of the token that it wrote. A bias of a million on
the next token of the text makes it write that one. Text that it has read stays in its cache, so a token takes one step.
Tried with xllamacpp 2026.8.10566 and 2026.10.11549 on 2026-11-23. Knows nothing of how the server was started.
"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from labkit.base import network
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.models.evaluation import losses

if TYPE_CHECKING:
    import torch


def llama_losses(
    url: str, key: str, documents: Any, *, window: int = 512, stride: int | None = None, quiet: bool = False
) -> torch.Tensor:
    """The loss of every scored token in nats, as `token_losses` gives them for a transformers model; fp32.

    `url` and `key` are those of a running model server. About a hundred tokens a second for the course model.
    LabError when the server does not answer, or does not say what is asked.
    """
    import torch

    steps = []
    for ids in losses.each(documents):
        for inputs, first in losses.windows(ids, window, min(stride or window, window - 1)):
            given = inputs.tolist()
            steps += [(given[:place], given[place]) for place in range(first + 1, len(given))]
    found = [_loss(url, key, prompt, target) for prompt, target in bar(steps, "Asking llama.cpp", quiet=quiet)]
    return torch.tensor(found)


def _loss(url: str, key: str, prompt: list[int], target: int) -> float:
    body = {"prompt": prompt, "n_predict": 1, "n_probs": 1, "temperature": 0, "cache_prompt": True}
    answer = ask(url, key, "/completion", body | {"logit_bias": [[target, 1e6]]})
    written = (answer.get("completion_probabilities") or [{}])[0]
    if written.get("id") != target or "logprob" not in written:
        raise LabError("This server does not report the log-probability of a token that it was made to write.")
    return -float(written["logprob"])


def ask(url: str, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request to the model server, and its answer; LabError when there is none."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    try:
        with network.open_local(request, 300) as answer:
            return json.load(answer)
    except (OSError, ValueError) as problem:
        raise LabError(f"The model server at {url} did not answer ({problem}): is it running?") from None
