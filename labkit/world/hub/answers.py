"""What both halves of the local Hub share: how parameters are read, and the facts of a repository.

Knows what `model_info` tells. Knows nothing of routes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import QueryParams

from labkit.world.hub.files import File, Repo
from labkit.world.services import providers
from labkit.world.services.refusals import Refused

_ALWAYS = ("_id", "id", "modelId")
_EXPANDABLE = {
    "model": {
        *("author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "gated", "gguf"),
        *("inference", "inferenceProviderMapping", "lastModified", "library_name", "pipeline_tag", "private"),
        *("safetensors", "sha", "siblings", "tags"),
    },
    "dataset": {
        *("author", "cardData", "createdAt", "disabled", "gated", "lastModified", "private", "sha", "siblings", "tags"),
    },
}
# What was computed once; a repository that changes is another object.
_known: weakref.WeakKeyDictionary[Repo, dict[str, Any]] = weakref.WeakKeyDictionary()


def only(query: QueryParams, known: set[str]) -> None:
    """400 for a parameter that would be ignored: an answer that silently left it out would be wrong."""
    for name in query:
        if name not in known:
            raise Refused(400, f"The course's Hub does not know {name[:50]!r} here.")


def truth(query: QueryParams, name: str) -> bool:
    """A parameter that is true or false; false where it is not given, 400 for anything else."""
    text = query.get(name, "false").lower()
    if text not in ("true", "1", "false", "0"):
        raise Refused(400, f"{name} is true or false, and not {text[:20]!r}.")
    return text in ("true", "1")


def facts_of(repo: Repo, *, blobs: bool = False) -> dict[str, Any]:
    """What `model_info` or `dataset_info` tells. Downloads and likes are not known here, and left out."""
    if repo not in _known:
        _known[repo] = _facts(repo)
    facts = _known[repo]
    return facts | {"siblings": [_sibling(file, True) for file in repo.files.values()]} if blobs else facts


def _facts(repo: Repo) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "_id": repo.sha[:24],
        "id": repo.id,
        "author": repo.author,
        "sha": repo.sha,
        "private": repo.private,
        "disabled": False,
        "gated": "manual" if repo.gated else False,
        "tags": repo.tags,
        "cardData": repo.card,
        "siblings": [_sibling(file, False) for file in repo.files.values()],
    }
    if repo.created:
        facts |= {"createdAt": repo.created, "lastModified": repo.modified}
    elif day := day_of(repo):
        facts |= {"createdAt": f"{day}T00:00:00.000Z", "lastModified": f"{day}T00:00:00.000Z"}
    return facts if repo.kind == "dataset" else facts | _of_a_model(repo)


def _of_a_model(repo: Repo) -> dict[str, Any]:
    facts: dict[str, Any] = {"modelId": repo.id}
    facts |= {key: repo.card[key] for key in ("library_name", "pipeline_tag") if key in repo.card}
    told = ("architectures", "model_type", "quantization_config")
    facts["config"] = {key: repo.config[key] for key in told if key in repo.config}
    if repo.parameters:
        facts["safetensors"] = {"parameters": repo.parameters, "total": sum(repo.parameters.values())}
    return facts | ({"gguf": repo.gguf} if repo.gguf else {})


def day_of(repo: Repo) -> str:
    """The day of its release; the first of the month or the year where no more is known; "" for an unknown one."""
    return f"{repo.released}-01-01"[:10] if repo.released else ""


def _sibling(file: File, blobs: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        entry |= {"size": file.size, "blobId": file.digest[:40]}
        if file.is_large:
            entry["lfs"] = {"sha256": file.digest, "size": file.size, "pointerSize": 135}
    return entry


def expanded(repo: Repo, wanted: list[str], repos: Iterable[Repo]) -> dict[str, Any]:
    """The facts that were asked for by name. `repos` is all that there is: what descends from it is counted there."""
    known = _EXPANDABLE[repo.kind]
    for name in wanted:
        if name not in known:
            raise Refused(400, f"The course's Hub cannot expand {name!r}: it knows {', '.join(sorted(known))}.")
    facts = facts_of(repo)
    # As on the real Hub, these are told only to those who ask for them by name.
    if "inferenceProviderMapping" in wanted:
        facts = facts | {"inferenceProviderMapping": providers.mapping(repo.id)}
    if "inference" in wanted and providers.mapping(repo.id):
        facts = facts | {"inference": "warm"}
    if "baseModels" in wanted and repo.bases[1]:
        relation, parents = repo.bases
        facts = facts | {"baseModels": {"relation": relation, "models": [{"id": parent} for parent in parents]}}
    if "childrenModelCount" in wanted:
        facts = facts | {"childrenModelCount": sum(repo.id in other.bases[1] for other in repos)}
    return {key: value for key, value in facts.items() if key in (*_ALWAYS, *wanted)}
