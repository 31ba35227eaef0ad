"""Search on the local Hub: `list_models` with its filters, sorting and pages, and the tags by kind.

A filter or an order that it does not know is refused: a list that silently left it out would be wrong.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from labkit.classroom.hub_answers import Refused, expanded, facts_of
from labkit.classroom.hub_repos import Repo

PAGE = 1000
_SORTS = ("lastModified", "createdAt")
_UNKNOWN_NUMBERS = ("downloads", "downloadsAllTime", "likes", "trendingScore")
_LIST = {"search", "author", "filter", "pipeline_tag", "gated", "num_parameters", "sort", "limit", "cursor", "expand"}
_LIST |= {"expand[]", "full", "cardData", "config"}


async def list_models(request: Request) -> Response:
    query = request.query_params
    for name in query:
        if name not in _LIST:
            raise Refused(400, "", f"The course's Hub cannot filter by {name!r}.")
    found = [repo for repo in request.app.state.repos.values() if _matches(repo, query)]
    found = _sorted(found, query.get("sort"))
    start, limit = _number(query.get("cursor"), 0), _number(query.get("limit"), len(found))
    page, headers = found[start : start + min(limit, PAGE)], {}
    if limit > len(page) and start + len(page) < len(found):
        rest = [(key, value) for key, value in query.multi_items() if key != "cursor"]
        following = urlencode([*rest, ("cursor", str(start + len(page)))])
        headers["Link"] = f'<{request.url.replace(query=following)}>; rel="next"'
    wanted = query.getlist("expand") + query.getlist("expand[]")
    return JSONResponse([_listed(repo, query, wanted) for repo in page], headers=headers)


def _listed(repo: Repo, query: Any, wanted: list[str]) -> dict[str, Any]:
    facts = facts_of(repo)
    if wanted:
        return expanded(facts, wanted)
    full = query.get("full", "").lower() in ("true", "1")
    left_out = {"safetensors"} | (set() if full else {"author", "sha", "lastModified", "gated", "disabled", "siblings"})
    left_out |= {key for key in ("cardData", "config") if not full and query.get(key, "").lower() not in ("true", "1")}
    return {key: value for key, value in facts.items() if key not in left_out}


def _matches(repo: Repo, query: Any) -> bool:
    low, high = _bounds(query.get("num_parameters"))
    total = sum(repo.parameters.values())
    return (
        query.get("search", "").lower() in repo.id.lower()
        and query.get("author", repo.id.split("/")[0]).lower() == repo.id.split("/")[0].lower()
        and all(tag in repo.tags for tag in query.getlist("filter"))
        and query.get("pipeline_tag", repo.card["pipeline_tag"]) == repo.card["pipeline_tag"]
        and query.get("gated", str(repo.gated)).lower() == str(repo.gated).lower()
        and low <= total <= high
    )


def _bounds(text: str | None) -> tuple[float, float]:
    """`min:6B,max:8B` as two numbers of parameters."""
    found = {"min": 0.0, "max": float("inf")}
    for part in filter(None, (text or "").split(",")):
        match = re.fullmatch(r"(min|max):(\d+(?:\.\d+)?)([KMBT]?)", part.strip(), re.IGNORECASE)
        if not match:
            raise Refused(400, "", f"num_parameters is written as min:6B,max:8B, and not {text[:50]!r}.")
        found[match[1].lower()] = float(match[2]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[match[3].upper()]
    return found["min"], found["max"]


def _sorted(repos: list[Repo], key: str | None) -> list[Repo]:
    if key is None:
        return sorted(repos, key=lambda repo: repo.id.lower())
    if key in _UNKNOWN_NUMBERS:
        raise Refused(400, "", f"The course's Hub knows no {key}: nobody counts them here.")
    if key not in _SORTS:
        raise Refused(400, "", f"The course's Hub cannot sort by {key!r}: it knows {', '.join(_SORTS)}.")
    return sorted(repos, key=lambda repo: repo.released or "", reverse=True)


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal():
        raise Refused(400, "", f"{text[:20]!r} is not a number.")
    return int(text)


async def tags_by_type(request: Request) -> Response:
    """Every tag by its kind: licences, tasks, libraries and the rest."""
    kinds: dict[str, set[str]] = {"library": set(), "pipeline_tag": set(), "license": set(), "other": set()}
    for repo in request.app.state.repos.values():
        for tag in repo.tags:
            if tag.startswith("license:"):
                kinds["license"].add(tag)
            elif not tag.startswith("base_model:"):
                kind = {repo.card["library_name"]: "library", repo.card["pipeline_tag"]: "pipeline_tag"}.get(
                    tag, "other"
                )
                kinds[kind].add(tag)
    return JSONResponse(
        {
            kind: [{"id": tag, "label": tag.split(":")[-1], "type": kind} for tag in sorted(tags)]
            for kind, tags in kinds.items()
        }
    )
