"""What lies in one repository of the local Hub, and how it came there: files, folders, branches, commits, headers.

Knows what is told of a file. Its bytes are `hub.resolve`'s, and the facts of a whole repository `hub.answers`'.
"""

from __future__ import annotations

import hashlib
import html
import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from labkit.world.hub.access import key_of, repo, require_access
from labkit.world.hub.answers import facts_of, only, truth
from labkit.world.hub.files import File, Repo
from labkit.world.hub.scratch import Commit, State
from labkit.world.hub.upload import body_of
from labkit.world.services.refusals import Refused

_UNKNOWN_DAY = "1970-01-01T00:00:00.000Z"
_LONGEST_HEADER = 100_000_000  # what the reader of the format itself takes at most


async def tree(request: Request) -> Response:
    """What lies in a folder; with `recursive`, in the folders below it too; with `expand`, its last commit each."""
    query = request.query_params
    only(query, {"recursive", "expand"})
    found, path = repo(request), request.path_params.get("path", "").strip("/")
    folders = _folders(found)
    if path and path not in folders:
        raise Refused(404, f"{found.id} has no folder {path[:80]}.", error_code="EntryNotFound")
    start, deep = f"{path}/" if path else "", truth(query, "recursive")
    entries = [_folder(found, name) for name in folders] + [_entry(file) for file in found.files.values()]
    listed = [entry for entry in entries if entry["path"].startswith(start)]
    listed = [entry for entry in listed if deep or "/" not in entry["path"][len(start) :]]
    return JSONResponse(_with_commits(request, found, listed) if truth(query, "expand") else listed)


async def paths_info(request: Request) -> Response:
    """The same of paths that are asked for by name. What is not there is left out."""
    found, form = repo(request), parse_qs((await body_of(request)).decode("utf-8", "replace"))
    folders, listed = _folders(found), []
    for path in form.get("paths", []):
        if path in found.files:
            listed.append(_entry(found.files[path]))
        elif path in folders:
            listed.append(_folder(found, path))
    expand = form.get("expand", [""])[0].lower() in ("true", "1")
    return JSONResponse(_with_commits(request, found, listed) if expand else listed)


def _entry(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.digest[:40], "size": file.size, "path": file.path}
    if file.is_large:
        entry["lfs"] = {"oid": file.digest, "size": file.size, "pointerSize": 135}
    return entry


def _folder(found: Repo, path: str) -> dict[str, Any]:
    """A folder is named by what lies in it: git does the same."""
    inside = "".join(f"{name} {file.digest}\n" for name, file in found.files.items() if name.startswith(f"{path}/"))
    oid = hashlib.sha1(inside.encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _folders(found: Repo) -> list[str]:
    return sorted({place for path in found.files for place in _above(path)})


def _above(path: str) -> list[str]:
    """The folders that a path lies in: a/b/c.txt lies in a and in a/b."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


# --- commits


async def refs(request: Request) -> Response:
    """Branches and tags. There are no pull requests here, and an empty list says so to who asks for them."""
    only(request.query_params, {"include_prs"})
    found, state = repo(request), _state(request)
    branches, tags = (state.branches, state.tags) if state else ({"main": found.sha}, {})
    answer = {"branches": _named("heads", branches), "tags": _named("tags", tags), "converts": []}
    return JSONResponse(answer | ({"pullRequests": []} if truth(request.query_params, "include_prs") else {}))


def _named(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in names.items()]


async def commits(request: Request) -> Response:
    """All commits of a revision, the newest first. The course's own repositories have one."""
    query = request.query_params
    only(query, {"expand", "expand[]"})
    wanted = query.getlist("expand") + query.getlist("expand[]")
    if set(wanted) - {"formatted"}:
        raise Refused(400, f"The course's Hub cannot expand {wanted[0][:50]!r} of a commit: it knows formatted.")
    found, state = repo(request), _state(request)
    history = state.history(request.path_params["revision"]) if state else [_only_commit(found)]
    return JSONResponse([_told(commit, formatted=bool(wanted)) for commit in history])


def _state(request: Request) -> State | None:
    """The learner's repository that a path names, or None for one of the course's."""
    return request.app.state.scratch.get(key_of(request))


def _only_commit(found: Repo) -> Commit:
    date = facts_of(found).get("createdAt", _UNKNOWN_DAY)
    return Commit(found.sha, "The files as they are", "", "course", date, {})


def _told(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    told = {"id": commit.id, "title": commit.title, "message": commit.message, "date": commit.date}
    told |= {"authors": [{"user": commit.user}]}
    if formatted:  # as HTML
        told["formatted"] = {"title": html.escape(commit.title), "message": html.escape(commit.message)}
    return told


def _with_commits(request: Request, found: Repo, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries, each with the commit that changed it last. Nobody scans files here: that is left out."""
    state = _state(request)
    last = _last_commits(state, request.path_params["revision"]) if state else {}
    told = []
    for entry in listed:
        commit = last.get(entry["path"]) or _only_commit(found)
        told.append(entry | {"lastCommit": {"id": commit.id, "title": commit.title, "date": commit.date}})
    return told


def _last_commits(state: State, revision: str) -> dict[str, Commit]:
    """For each file and each folder of a revision the commit that changed it, or something in it, last."""
    history, found = list(state.history(revision)), {}
    for commit, before in zip(history, [*history[1:], None], strict=True):
        earlier = before.files if before else {}
        for path in commit.files.keys() | earlier.keys():
            if commit.files.get(path) != earlier.get(path):
                for place in (path, *_above(path)):
                    found.setdefault(place, commit)
    return found


# --- the headers of weights that are in many files


async def safetensors_metadata(request: Request) -> Response:
    """The headers of all files that an index names, in one answer: `get_sharded_safetensors_metadata` (since 2.x)."""
    found, path = repo(request), request.path_params["path"]
    require_access(request, found)
    file = found.files.get(path)
    if file is None:
        raise Refused(404, f"{found.id} has no file {path[:80]}.", error_code="EntryNotFound")
    index = _object(file.read(0, file.size))
    if not isinstance(index.get("weight_map"), dict):
        raise Refused(400, f"{path[:80]} is not the index of a model in several files.")
    parts = sorted({str(name) for name in index["weight_map"].values()})
    if missing := [name for name in parts if name not in found.files]:
        raise Refused(
            404, f"{path[:80]} names {missing[0][:80]}, and there is no such file.", error_code="EntryNotFound"
        )
    headers = {name: _header(found.files[name]) for name in parts}
    return JSONResponse({"index": {"metadata": index.get("metadata")}, "headers": headers})


def _header(file: File) -> dict[str, Any]:
    length = int.from_bytes(file.read(0, 8), "little")
    return _object(file.read(8, 8 + min(length, _LONGEST_HEADER)))


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "What should be a JSON object is none: the file is damaged, or of another kind.")
    return found
