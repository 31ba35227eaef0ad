"""The write side of the Hub's protocol, into the scratch space: create, upload, commit, branch, tag, delete.

As the unmodified client sends it with HF_HUB_DISABLE_XET=1 (huggingface_hub 1.27 and 2.4, tried on 2026-11-23). The
repositories of the catalogue are read-only; each user writes in their own place. Knows requests; what is kept is in
`hub.scratch`, who may is in `hub.access`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from labkit.world.hub import card_metadata
from labkit.world.hub.access import key_of, kind_of, may_see, no_repo, require_writer, user
from labkit.world.hub.files import LARGE
from labkit.world.hub.scratch import Entry, Scratch, State
from labkit.world.services.refusals import Refused

LARGE_FROM = 10_000_000  # the real Hub keeps larger files outside git, too
MOST_JSON = 1_000_000
MOST_COMMIT = 200_000_000
# The client's own rule (utils/_validators.py): letters, digits, "-", "_", "."; at most 96; no "--" or ".."; no ".git".
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(?<![.-])")
_REFERENCE = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}")


async def body_of(request: Request, most: int = MOST_JSON) -> bytes:
    """The body, up to `most` bytes; 413 for more."""
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise Refused(413, f"The course's Hub reads up to {most / 1e6:.0f} MB here.")
    return content


async def _json(request: Request) -> dict[str, Any]:
    found = _parsed(await body_of(request))
    if not isinstance(found, dict):
        raise Refused(400, "The body should be a JSON object.")
    return found


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON.") from None


def _scratch(request: Request) -> Scratch:
    return request.app.state.scratch


def _state(request: Request) -> State:
    """The repository that a path names, if who asks may write in it."""
    key, asking = key_of(request), user(request)
    if key in request.app.state.repos:
        require_writer(request, None)
        raise Refused(403, "This repository is the course's own and cannot be changed: create one in your place.")
    state = _scratch(request).get(key)
    if state is None or not may_see(state.private, state.owner, asking):
        raise no_repo(request, asking)
    require_writer(request, state.owner)
    return state


# --- repositories


async def create(request: Request) -> Response:
    asked = await _json(request)
    owner, kind = asked.get("organization"), asked.get("type") or "model"
    writer = require_writer(request, owner)
    name = asked.get("name")
    if kind not in ("model", "dataset"):
        raise Refused(400, f"The course's Hub keeps models and datasets, and no {str(kind)[:20]}.")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(".git"):
        raise Refused(400, "A name has letters, digits, '-', '_' and '.', at most 96, and begins with a letter.")
    visibility = asked.get("visibility") or ("private" if asked.get("private") else "public")
    if visibility not in ("public", "private"):
        raise Refused(400, f"A repository here is public or private, and not {str(visibility)[:20]}.")
    repo_id, scratch = f"{writer.name}/{name}", _scratch(request)
    prefix = "" if kind == "model" else "datasets/"
    made = {"url": f"{request.base_url}{prefix}{repo_id}", "name": repo_id, "id": repo_id}
    with scratch.lock:
        if scratch.get((prefix + repo_id).lower()):
            # With the address: `exist_ok` reads it.
            sentence = f"You already created this {kind} repo: {repo_id}."
            return JSONResponse(made | {"error": sentence}, 409, {"X-Error-Message": sentence})
        scratch.create(repo_id, kind, writer.name, private=visibility == "private")
    return JSONResponse(made)


async def delete(request: Request) -> Response:
    asked = await _json(request)
    writer = require_writer(request, asked.get("organization"))
    prefix = "" if (asked.get("type") or "model") == "model" else "datasets/"
    scratch = _scratch(request)
    with scratch.lock:
        state = scratch.get(f"{prefix}{writer.name}/{asked.get('name')}".lower())
        if state is None:
            raise Refused(404, f"There is no repository {writer.name}/{asked.get('name')}.", error_code="RepoNotFound")
        scratch.delete(state)
    return Response()


async def settings(request: Request) -> Response:
    """Private or public, behind a gate or not."""
    asked, scratch = await _json(request), _scratch(request)
    changes: dict[str, Any] = {}
    if "private" in asked or "visibility" in asked:
        changes["private"] = bool(asked.get("private")) or asked.get("visibility") == "private"
    if "gated" in asked:
        changes["gated"] = bool(asked["gated"])
    if not changes or set(asked) - {"private", "visibility", "gated"}:
        raise Refused(400, "The course's Hub changes private, visibility and gated.")
    with scratch.lock:
        scratch.keep(_state(request), **changes)
    return JSONResponse(changes)


# --- branches and tags


async def branch(request: Request) -> Response:
    return await _reference(request, "branches", request.path_params["branch"])


async def tag(request: Request) -> Response:
    if request.method == "DELETE":
        return await _reference(request, "tags", request.path_params["revision"])
    asked = await _json(request)
    return await _reference(request, "tags", asked.get("tag"), request.path_params["revision"])


async def _reference(request: Request, which: str, name: Any, start: str | None = None) -> Response:
    asked = _parsed(await body_of(request) or b"{}") if which == "branches" else {}
    scratch = _scratch(request)
    if not isinstance(name, str) or not _REFERENCE.fullmatch(name):
        raise Refused(400, "A branch or tag has letters, digits, '-', '_', '.' and '/'.")
    with scratch.lock:
        state = _state(request)
        known = dict(getattr(state, which))
        if request.method == "DELETE":
            if name == "main" and which == "branches":
                raise Refused(403, "The branch main cannot be deleted.")
            if known.pop(name, None) is None:
                raise Refused(404, f"{state.id} has no {name}.", error_code="RevisionNotFound")
        else:
            if name in state.branches or name in state.tags:
                raise Refused(409, f"{state.id} has {name} already.")
            known[name] = state.commit_of(start or asked.get("startingPoint")).id
        scratch.keep(state, **{which: known})
    return Response()


# --- commits


async def validate_yaml(request: Request) -> Response:
    """What the client asks before it sends a card: errors refuse it, warnings let it pass."""
    content = (await _json(request)).get("content")
    errors, found = card_metadata.validate(content if isinstance(content, str) else "")
    answer = {"errors": [{"message": one} for one in errors], "warnings": [{"message": one} for one in found]}
    return JSONResponse(answer, 400 if errors else 200)


async def preupload(request: Request) -> Response:
    """How each file is to come: small ones in the commit itself, large ones before it."""
    state, asked = _state(request), await _json(request)
    _no_pull_request(request)
    state.commit_of(request.path_params["revision"])
    modes = []
    for file in asked.get("files") or []:
        path, size = _path(file.get("path")), file.get("size")
        large = path.endswith(LARGE) or (isinstance(size, int) and size > LARGE_FROM)
        modes.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False})
    return JSONResponse({"files": modes})


async def batch(request: Request) -> Response:
    """Where to put the large files: an address that is good for one content, and needs no token."""
    state, asked = _state(request), await _json(request)
    if asked.get("operation") != "upload":
        raise Refused(400, "The course's Hub takes uploads here; files are read at /resolve/.")
    objects = []
    for one in asked.get("objects") or []:
        oid, size = one.get("oid"), one.get("size")
        if not (isinstance(oid, str) and re.fullmatch("[0-9a-f]{64}", oid) and isinstance(size, int) and size >= 0):
            raise Refused(400, "A large file is named by its SHA-256 and its size.")
        answer: dict[str, Any] = {"oid": oid, "size": size}
        if _scratch(request).stored(oid) is None:
            _scratch(request).require_room(size)
            ticket = secrets.token_urlsafe(16)
            request.app.state.tickets[ticket] = (state.key, oid, size)
            answer |= {"authenticated": True, "actions": {"upload": {"href": f"{request.base_url}_upload/{ticket}"}}}
        objects.append(answer)
    return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")


async def put(request: Request) -> Response:
    """One large file. It is there when all its bytes have come and their hash is the one that was announced."""
    ticket = request.path_params["ticket"]
    known = request.app.state.tickets.get(ticket)
    if known is None:
        raise Refused(403, "This address was good for one upload, and is no more: begin again.")
    _, oid, size = known
    scratch = _scratch(request)
    handle, name = tempfile.mkstemp(prefix=".upload-", dir=scratch.objects)
    found, received = hashlib.sha256(), 0
    try:
        with os.fdopen(handle, "wb") as file:
            async for piece in request.stream():
                received += len(piece)
                if received > size:
                    raise Refused(413, f"More than the {size:,} bytes that were announced.")
                found.update(piece)
                file.write(piece)
        if received != size or found.hexdigest() != oid:
            raise Refused(422, "What came is not what was announced: its SHA-256 differs. Nothing was kept.")
        Path(name).replace(scratch.objects / oid)
    except OSError as problem:
        raise Refused(507, f"The file could not be kept ({problem.strerror}): make room on the disk.") from None
    finally:
        Path(name).unlink(missing_ok=True)
    request.app.state.tickets.pop(ticket, None)
    return Response()


async def commit(request: Request) -> Response:
    """Lines of JSON: what the commit says, then what it adds and deletes."""
    _no_pull_request(request)
    state, scratch = _state(request), _scratch(request)
    lines = [_parsed(line) for line in (await body_of(request, MOST_COMMIT)).splitlines() if line.strip()]
    if not lines or not all(isinstance(line, dict) and isinstance(line.get("value"), dict) for line in lines):
        raise Refused(400, "A commit is lines of JSON, each with a key and a value.")
    header = next((line["value"] for line in lines if line.get("key") == "header"), {})
    if not str(header.get("summary") or "").strip():
        raise Refused(400, "A commit needs a summary.")
    changes = [_change(line.get("key"), line["value"], scratch) for line in lines if line.get("key") != "header"]
    branch = request.path_params["revision"]
    with scratch.lock:
        state = _state(request)  # as it is now: somebody may have committed in between
        if branch not in state.branches:
            raise Refused(404, f"{state.id} has no branch {branch[:80]}.", error_code="RevisionNotFound")
        parent = state.branches[branch]
        if header.get("parentCommit") not in (None, parent):
            raise Refused(412, "A commit has happened since: the parent commit is not the newest one.")
        files = dict(state.commits[parent].files)
        for kind, path, entry in changes:
            _apply(files, kind, path, entry)
        title, message = str(header["summary"])[:500], str(header.get("description") or "")[:10_000]
        new = scratch.commit(state, branch, state.owner, title, message, files, parent=parent)
    oid, prefix = new.branches[branch], "" if kind_of(request) == "model" else "datasets/"
    url = f"{request.base_url}{prefix}{state.id}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def _change(key: Any, value: dict[str, Any], scratch: Scratch) -> tuple[str, str, Entry | None]:
    """One line of a commit as (what, path, content); contents are kept at once."""
    path = _path(value.get("path"), folder=key == "deletedFolder")
    if key == "file":
        try:
            content = base64.b64decode(value.get("content") or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise Refused(400, f"The content of {path} is not base64.") from None
        if path == "README.md":
            _require_card(content)
        scratch.require_room(len(content))
        return "add", path, scratch.put(content)
    if key == "lfsFile":
        oid = str(value.get("oid"))
        entry = scratch.stored(oid) if re.fullmatch("[0-9a-f]{64}", oid) else None
        if entry is None or value.get("size", entry.size) != entry.size:
            raise Refused(400, f"The content of {path} has not come: upload it before the commit.")
        return "add", path, entry
    if key in ("deletedFile", "deletedFolder"):
        return "delete", path, None
    raise Refused(400, f"The course's Hub does not know {str(key)[:30]} in a commit.")


def _require_card(content: bytes) -> None:
    """A card that would be refused beforehand is refused in the commit, too: not every program asks first."""
    errors, _ = card_metadata.validate(content.decode("utf-8", "replace"))
    if errors:
        raise Refused(400, f"Invalid metadata in README.md: {'; '.join(errors)[:500]}")


def _apply(files: dict[str, Entry], kind: str, path: str, entry: Entry | None) -> None:
    if entry is not None:
        if any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in files):
            raise Refused(400, f"{path} would be a file and a folder at once.")
        files[path] = entry
        return
    gone = [other for other in files if other == path or other.startswith(f"{path}/")]
    if not gone:
        raise Refused(404, f"There is no {path} to delete.", error_code="EntryNotFound")
    for other in gone:
        del files[other]


def _path(path: Any, *, folder: bool = False) -> str:
    """A path inside a repository, or 400: nothing that could lead out of it."""
    parts = path.rstrip("/").split("/") if isinstance(path, str) and (folder or not path.endswith("/")) else [""]
    strange = any(letter in part for part in parts for letter in '\\\0\n\r:*?"<>|')
    if strange or any(part in ("", ".", "..", ".git") or len(part) > 200 for part in parts) or len(parts) > 20:
        raise Refused(400, f"A path like {str(path)[:60]!r} is not allowed.")
    return "/".join(parts)


def _no_pull_request(request: Request) -> None:
    if request.query_params.get("create_pr") in ("1", "true"):
        raise Refused(400, "The course's Hub has no pull requests: leave out create_pr.")
