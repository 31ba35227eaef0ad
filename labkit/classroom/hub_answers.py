"""What both halves of the local Hub share: refusals in the client's own terms, and the facts of a repository.

Knows what `model_info` tells. Knows nothing of routes.
"""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

from labkit.classroom import providers
from labkit.classroom.hub_repos import File, Repo

_ALWAYS = ("_id", "id", "modelId")
_EXPANDABLE = {
    *("author", "cardData", "config", "createdAt", "disabled", "gated", "inferenceProviderMapping"),
    *("lastModified", "library_name", "pipeline_tag", "private", "safetensors", "sha", "siblings", "tags"),
}


class Refused(HTTPException):
    """An answer that is an error, in the client's own terms: status, `X-Error-Code`, and a sentence."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(status, sentence, {"X-Error-Code": code, "X-Error-Message": sentence})


def facts_of(repo: Repo, *, blobs: bool = False) -> dict[str, Any]:
    """What `model_info` tells. Downloads and likes are not known here, and left out."""
    facts: dict[str, Any] = {
        "_id": repo.sha[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.split("/")[0],
        "sha": repo.sha,
        "private": False,
        "disabled": False,
        "gated": "manual" if repo.gated else False,
        "library_name": repo.card["library_name"],
        "pipeline_tag": repo.card["pipeline_tag"],
        "tags": repo.tags,
        "cardData": repo.card,
        "config": {key: repo.config[key] for key in ("architectures", "model_type")},
        "safetensors": {"parameters": repo.parameters, "total": sum(repo.parameters.values())},
        "siblings": [_sibling(file, blobs) for file in repo.files.values()],
    }
    if repo.released:
        date = f"{repo.released}-01-01"[:10] if len(repo.released) < 10 else repo.released
        facts |= {"createdAt": f"{date}T00:00:00.000Z", "lastModified": f"{date}T00:00:00.000Z"}
    return facts


def _sibling(file: File, blobs: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        entry |= {"size": file.size, "blobId": file.digest[:40]}
        if file.is_large:
            entry["lfs"] = {"sha256": file.digest, "size": file.size, "pointerSize": 135}
    return entry


def expanded(facts: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    for name in wanted:
        if name not in _EXPANDABLE:
            raise Refused(
                400, "", f"The course's Hub cannot expand {name!r}: it knows {', '.join(sorted(_EXPANDABLE))}."
            )
    # As on the real Hub, it is told to those who ask for it by name.
    facts = facts | {"inferenceProviderMapping": providers.mapping(facts["id"])}
    return {key: value for key, value in facts.items() if key in (*_ALWAYS, *wanted)}
