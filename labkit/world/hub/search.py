"""Search on the local Hub: `list_models` and `list_datasets` with their filters, order and pages, and tags by kind.

A filter, a value or an order that it does not know is refused: a list that silently left it out would be wrong.
Which apps open which files: huggingface.js, packages/tasks/src/local-apps.ts (read 2026-11-23). Knows no files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from labkit.world.hub.access import visible
from labkit.world.hub.answers import expanded, facts_of, truth
from labkit.world.hub.files import Repo
from labkit.world.services import providers
from labkit.world.services.refusals import Refused

PAGE = 1000
_SORTS = ("lastModified", "createdAt")
_UNKNOWN_NUMBERS = ("downloads", "downloadsAllTime", "likes", "trendingScore")
_BOTH = {"search", "author", "filter", "gated", "sort", "limit", "cursor", "expand", "expand[]", "full"}
_OWN = {
    "model": {"pipeline_tag", "num_parameters", "apps", "inference", "inference_provider", "cardData", "config"},
    "dataset": set(),
}
# Apps that open any GGUF file of a language model, and nothing else.
_GGUF_APPS = ("llama.cpp", "node-llama-cpp", "ollama", "jan", "localai", "msty", "backyard", "sanctum", "recursechat")
# What a list leaves out unless it is asked for, of models and of data sets.
_FULL_ONLY = {
    "model": {"author", "sha", "lastModified", "gated", "disabled", "siblings"},
    "dataset": {"siblings"},
}
_ON_REQUEST = ("cardData", "config")


async def list_models(request: Request) -> Response:
    return _list(request, "model")


async def list_datasets(request: Request) -> Response:
    return _list(request, "dataset")


def _list(request: Request, kind: str) -> Response:
    query = request.query_params
    for name in query:
        if name not in _BOTH | _OWN[kind]:
            raise Refused(400, f"The course's Hub cannot filter {kind}s by {name!r}.")
    tests = list(_tests(query))
    repos = [repo for repo in visible(request) if repo.kind == kind]
    found = _sorted([repo for repo in repos if all(test(repo) for test in tests)], query.get("sort"))
    start, limit = _number(query.get("cursor"), 0), _number(query.get("limit"), len(found))
    page, headers = found[start : start + min(limit, PAGE)], {}
    if limit > len(page) and start + len(page) < len(found):
        rest = [(key, value) for key, value in query.multi_items() if key != "cursor"]
        following = urlencode([*rest, ("cursor", str(start + len(page)))])
        headers["Link"] = f'<{request.url.replace(query=following)}>; rel="next"'
    wanted = query.getlist("expand") + query.getlist("expand[]")
    if wanted:
        return JSONResponse([expanded(repo, wanted, repos) for repo in page], headers=headers)
    return JSONResponse([_listed(repo, query) for repo in page], headers=headers)


def _listed(repo: Repo, query: QueryParams) -> dict[str, Any]:
    full = truth(query, "full")
    left_out = {"safetensors", "gguf"} | (set() if full else _FULL_ONLY[repo.kind])
    if repo.kind == "model":
        left_out |= {key for key in _ON_REQUEST if not full and not truth(query, key)}
    return {key: value for key, value in facts_of(repo).items() if key not in left_out}


# --- filters


def _tests(query: QueryParams) -> Iterable[Callable[[Repo], bool]]:
    """One test for each filter of the query. What a repository does not tell does not pass."""
    for text in query.getlist("search"):
        yield lambda repo, text=text: text.lower() in repo.id.lower()
    for tag in (part for value in query.getlist("filter") for part in value.split(",")):
        yield lambda repo, tag=tag: tag in repo.tags
    if author := query.get("author"):
        yield lambda repo: repo.author.lower() == author.lower()
    if "gated" in query:
        gated = truth(query, "gated")
        yield lambda repo: repo.gated == gated
    if task := query.get("pipeline_tag"):
        yield lambda repo: repo.card.get("pipeline_tag") == task
    if sizes := query.get("num_parameters"):
        low, high = _bounds(sizes)
        yield lambda repo: repo.total is not None and low <= repo.total <= high
    if apps := query.getlist("apps"):
        _know(apps, _GGUF_APPS, "which models the app {} opens")
        yield lambda repo: bool(repo.gguf)
    if warm := query.getlist("inference"):
        _know(warm, ("warm",), "models by inference {}")
        yield lambda repo: bool(providers.mapping(repo.id))
    if named := query.getlist("inference_provider"):
        _know(named, ("all", *providers.PROVIDERS), "which models the provider {} serves")
        yield (
            lambda repo: (
                any(name in ("all", *providers.mapping(repo.id)) for name in named) and bool(providers.mapping(repo.id))
            )
        )


def _know(values: list[str], known: Iterable[str], what: str) -> None:
    for value in values:
        if value not in known:
            said = what.format(repr(value[:50]))
            raise Refused(400, f"The course's Hub cannot tell {said}: it knows {', '.join(known)}.")


def _bounds(text: str) -> tuple[float, float]:
    """`min:6B,max:8B` as two numbers of parameters."""
    found = {"min": 0.0, "max": float("inf")}
    for part in text.split(","):
        match = re.fullmatch(r"(min|max):(\d+(?:\.\d+)?)([KMBT]?)", part.strip(), re.IGNORECASE)
        if not match:
            raise Refused(400, f"num_parameters is written as min:6B,max:8B, and not {text[:50]!r}.")
        found[match[1].lower()] = float(match[2]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[match[3].upper()]
    return found["min"], found["max"]


def _sorted(repos: list[Repo], key: str | None) -> list[Repo]:
    repos = sorted(repos, key=lambda repo: repo.id.lower())
    if key is None:
        return repos
    if key in _UNKNOWN_NUMBERS:
        raise Refused(400, f"The course's Hub knows no {key}: nobody counts them here.")
    if key not in _SORTS:
        raise Refused(400, f"The course's Hub cannot sort by {key[:50]!r}: it knows {', '.join(_SORTS)}.")
    return sorted(repos, key=lambda repo: facts_of(repo).get(key, ""), reverse=True)


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Refused(400, f"{text[:20]!r} is not a number.")
    return int(text)


# --- tags


async def tags_by_type(request: Request) -> Response:
    """Every tag of a model by its kind: licences, tasks, libraries, languages, data sets and the rest."""
    return _by_type(request, "model")


async def dataset_tags_by_type(request: Request) -> Response:
    """Every tag of a data set by its kind."""
    return _by_type(request, "dataset")


def _by_type(request: Request, kind: str) -> Response:
    kinds: dict[str, set[str]] = {}
    for repo in visible(request):
        if repo.kind == kind:
            for tag in repo.tags:
                kinds.setdefault(_kind_of(tag, repo), set()).add(tag)
    kinds.pop("base_model", None)
    return JSONResponse(
        {
            name: [{"id": tag, "label": tag.split(":", 1)[-1], "type": name} for tag in sorted(tags)]
            for name, tags in sorted(kinds.items())
        }
    )


def _kind_of(tag: str, repo: Repo) -> str:
    if ":" in tag:
        return tag.split(":", 1)[0]
    if tag in repo.card.get("language", ()):
        return "language"
    if tag in (repo.card.get("library_name"), "safetensors", "gguf", "pytorch"):
        return "library"
    return "pipeline_tag" if tag == repo.card.get("pipeline_tag") else "other"
