"""The Hub as lessons meet it: which one the libraries talk to, and its models as a table.

`connect` points the unmodified libraries to the course's Hub; what the learner had set before stays in `hub_settings`.
`search` is one call of `list_models`, as a DataFrame.
Knows environment variables and columns. Knows nothing of how the course's Hub is made (`world.hub.service`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from labkit.base import network
from labkit.base.errors import LabError
from labkit.facts import memory
from labkit.world import hub_settings

if TYPE_CHECKING:
    import pandas

# A learner may have set these. Each would send requests, tokens or files past the course's own place, or stop them:
# HF_HUB_OFFLINE=1 blocks a Hub on this machine too. (huggingface_hub 2.4: constants.py, utils/_auth.py; 2026-11-23.)
_IN_THE_WAY = (
    *("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN_PATH"),
    *("HF_MODULES_CACHE", "HF_XET_CACHE"),
    *("HUGGING_FACE_HUB_TOKEN", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_OIDC_RESOURCE", "HUGGINGFACE_CO_STAGING"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"),
)
_url = ""


def connect() -> None:
    """Point huggingface_hub and all that build on it to the course's Hub, started if needed. Before their import.

    They get a folder of their own (the library's cache does not know one Hub from another) and a token that is
    nobody's, so that a learner's real one stays where it is. Safe to call again, and the cure when the Hub was killed.
    Raises LabError when the Hub cannot start, or comes too late.
    """
    global _url
    from labkit.world import services
    from labkit.world.hub.service import environment, local_hub

    if not hub_settings.is_changed():
        if "huggingface_hub.constants" in sys.modules:
            raise LabError("huggingface_hub was imported before: restart the kernel, then run the set-up cell first.")
        service = local_hub()
        _url = service.url
        hub_settings.remember()
        for name in _IN_THE_WAY:
            os.environ.pop(name, None)
        os.environ.update(environment(service) | network.no_proxy())
        return
    # The libraries have read the address: a Hub that ended has to come back at the same one.
    try:
        local_hub(port=int(_url.rpartition(":")[2]))
    except LabError:
        services.leave("hub")
        raise LabError(
            "The course's Hub has moved to another port: restart the kernel, then run the set-up cell first."
        ) from None


def tokens() -> dict[str, str | bool | None]:
    """Who asks, and with which token: for the `token` argument of huggingface_hub. The last has the most rights.

    In the local world nobody, the course's learner, and an invented member who was let in behind every gate. Against
    the real Hub nobody, and you (None stands for the token that you have, if any).
    """
    if not hub_settings.is_changed():
        return {"nobody": False, "you": None}
    return {"nobody": False, "somebody": "hf_course_learner", "somebody who was let in": "hf_course_member"}


def search(
    text: str = "",
    *,
    licence: str | None = None,
    billions: tuple[float, float] | None = None,
    chat: bool = False,
    gated: bool | None = None,
    dtype: str = "bf16",
    limit: int = 100,
) -> pandas.DataFrame:
    """Text-generation models of the Hub, smallest first: id, licence, gated, parameters, weights_gb, released.

    `licence` is an id such as "apache-2.0"; `billions` the least and the most parameters, in 10^9; `chat` leaves those
    that were tuned to converse; `gated` None means either. `weights_gb` is what the weights would take in `dtype`,
    in 10^9 bytes. A model whose size the Hub does not know has NaN there. One request for each 1,000 models.
    """
    import pandas
    from huggingface_hub import HfApi

    filters = ([f"license:{licence}"] if licence else []) + (["conversational"] if chat else [])
    size = f"min:{round(billions[0] * 1e9)},max:{round(billions[1] * 1e9)}" if billions else None
    found = HfApi().list_models(
        search=text or None,
        pipeline_tag="text-generation",
        filter=filters or None,
        gated=gated,
        num_parameters=size,
        limit=limit,
        expand=["safetensors", "gguf", "cardData", "gated", "createdAt"],
    )
    rows = [_row(model, dtype) for model in found]
    columns = ["id", "licence", "gated", "parameters", "weights_gb", "released"]
    return pandas.DataFrame(rows, columns=columns).sort_values(["parameters", "id"], ignore_index=True)


def _row(model: Any, dtype: str) -> dict[str, Any]:
    known = model.safetensors.total if model.safetensors else (model.gguf or {}).get("total")
    parameters = known or float("nan")
    return {
        "id": model.id,
        "licence": (model.card_data or {}).get("license") or "none named",
        "gated": bool(model.gated),
        "parameters": parameters,
        "weights_gb": memory.weights_bytes(known, dtype) / 1e9 if known else float("nan"),
        "released": f"{model.created_at:%Y-%m-%d}" if model.created_at else "",
    }
