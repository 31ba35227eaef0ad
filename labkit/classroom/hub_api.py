"""The read side of the Hub's protocol, for the unmodified `huggingface_hub` client: a Starlette application.

It is honest: what it cannot answer it refuses with 400, and every answer carries a warning that this is the course's
Hub. Facts about the protocol: the client's own source and requests, huggingface_hub 2.4, tried on 2026-11-23.
Knows HTTP; knows nothing of how repositories are made (`hub_repos`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from labkit.classroom.hub_answers import Refused, expanded, facts_of
from labkit.classroom.hub_files import File, Repo
from labkit.classroom.hub_repos import NOT_THE_HUB
from labkit.classroom.hub_search import dataset_tags_by_type, list_datasets, list_models, tags_by_type

CHUNK = 1 << 20
# token: (user, may read gated repositories). They open this Hub only, and are in no way secret.
TOKENS = {"hf_course_learner": ("learner", False), "hf_course_member": ("member", True)}


def application(repos: dict[str, Repo]) -> Starlette:
    """The Hub that serves `repos`, by id in small letters."""
    routes = [
        Route("/health", _health),
        Route("/api/agent-harnesses", _nothing),
        Route("/api/whoami-v2", _whoami),
        Route("/api/models", list_models),
        Route("/api/models-tags-by-type", tags_by_type),
        Route("/api/datasets", list_datasets),
        Route("/api/datasets-tags-by-type", dataset_tags_by_type),
        Route("/api/models/{owner}/{name}", _info),
        Route("/api/models/{owner}/{name}/revision/{revision}", _info),
        Route("/api/models/{owner}/{name}/tree/{revision}", _tree),
        Route("/api/models/{owner}/{name}/tree/{revision}/{path:path}", _tree),
        Route("/api/models/{owner}/{name}/paths-info/{revision}", _paths, methods=["POST"]),
        Route("/api/models/{owner}/{name}/refs", _refs),
        Route("/api/models/{owner}/{name}/commits/{revision}", _commits),
        Route("/api/models/{owner}/{name}/auth-check", _auth_check),
        Route("/{owner}/{name}/resolve/{revision}/{path:path}", _resolve),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(_Mark)], exception_handlers={HTTPException: _error})
    app.state.repos = repos
    return app


class _Mark:
    """Put the warning on every answer."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-hf-warning", NOT_THE_HUB.encode())]
            await send(message)

        await self.app(scope, receive, marked)


async def _error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    headers = {"X-Error-Message": problem.detail, **(problem.headers or {})}
    return JSONResponse({"error": problem.detail}, problem.status_code, headers)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _nothing(request: Request) -> Response:
    return JSONResponse({})


# --- who asks, and for what


def _user(request: Request) -> tuple[str, bool] | None:
    """(user, may read gated repositories), or None without a token. 401 for a token that this Hub does not know."""
    header = request.headers.get("authorization", "")
    if not header:
        return None
    token = header.removeprefix("Bearer ").strip()
    if token not in TOKENS:
        raise Refused(401, "", "Invalid credentials in Authorization header: this Hub knows the course's tokens only.")
    return TOKENS[token]


async def _whoami(request: Request) -> Response:
    user = _user(request)
    if user is None:
        raise Refused(401, "", "Invalid user token.")
    rights = {"type": "access_token", "accessToken": {"displayName": "course", "role": "read"}}
    return JSONResponse({"type": "user", "name": user[0], "fullname": user[0], "orgs": [], "auth": rights})


def _repo(request: Request) -> Repo:
    """The repository that a path names. 401 without a token and 404 with one, as the real Hub: it may be private."""
    user = _user(request)
    wanted = "{owner}/{name}".format(**request.path_params)
    repo = request.app.state.repos.get(wanted.lower())
    if repo is None:
        raise Refused(404 if user else 401, "RepoNotFound", f"There is no repository {wanted} on the course's Hub.")
    revision = request.path_params.get("revision")
    if revision not in (None, "main", repo.sha):
        raise Refused(404, "RevisionNotFound", f"{repo.id} has no revision {revision}: it has main.")
    return repo


def _require_access(request: Request, repo: Repo) -> None:
    user = _user(request)
    if repo.gated and (user is None or not user[1]):
        how = "log in" if user is None else "ask for access on its page"
        raise Refused(403 if user else 401, "GatedRepo", f"Access to {repo.id} is restricted: {how} first.")


async def _auth_check(request: Request) -> Response:
    _require_access(request, _repo(request))
    return JSONResponse({})


# --- one repository


async def _info(request: Request) -> Response:
    repo = _repo(request)
    facts = facts_of(repo, blobs=request.query_params.get("blobs", "").lower() in ("true", "1"))
    wanted = request.query_params.getlist("expand") + request.query_params.getlist("expand[]")
    return JSONResponse(expanded(repo, wanted, request.app.state.repos.values()) if wanted else facts)


def _entry(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.digest[:40], "size": file.size, "path": file.path}
    if file.is_large:
        entry["lfs"] = {"oid": file.digest, "size": file.size, "pointerSize": 135}
    return entry


async def _tree(request: Request) -> Response:
    repo, path = _repo(request), request.path_params.get("path", "").strip("/")
    if path:
        raise Refused(404, "EntryNotFound", f"{repo.id} has no folder {path}.")
    return JSONResponse([_entry(file) for file in repo.files.values()])


async def _paths(request: Request) -> Response:
    repo, form = _repo(request), parse_qs((await request.body()).decode())
    return JSONResponse([_entry(repo.files[path]) for path in form.get("paths", []) if path in repo.files])


async def _refs(request: Request) -> Response:
    repo = _repo(request)
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.sha}
    return JSONResponse({"branches": [main], "tags": [], "converts": []})


async def _commits(request: Request) -> Response:
    repo = _repo(request)
    commit = {"id": repo.sha, "title": "The files as they are", "message": "", "authors": [{"user": "course"}]}
    return JSONResponse([commit | {"date": facts_of(repo).get("createdAt", "1970-01-01T00:00:00.000Z")}])


# --- files


async def _resolve(request: Request) -> Response:
    repo, path = _repo(request), request.path_params["path"]
    # A card can be read before one has access, on the real Hub too.
    if path != "README.md":
        _require_access(request, repo)
    file = repo.files.get(path)
    if file is None:
        raise Refused(404, "EntryNotFound", f"{repo.id} has no file {path}.")
    headers = {
        "ETag": f'"{file.digest}"',
        "X-Repo-Commit": repo.sha,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{path.rsplit("/", 1)[-1]}"',
    }
    if file.is_large:
        headers |= {"X-Linked-Etag": f'"{file.digest}"', "X-Linked-Size": str(file.size)}
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(file.size)})
    start, end = _range(request.headers.get("range"), file.size)
    there = file.size if file.on_disk else len(file.content)
    if end > there and not (start < there and end - start <= 200_000 and request.headers.get("range")):
        raise Refused(403, "", f"The course's Hub has the header of {path} alone: there are no weights to download.")
    end = min(end, there)
    if request.headers.get("range"):
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(
        _pieces(file, start, end), 206 if "Content-Range" in headers else 200, headers, "application/octet-stream"
    )


def _range(header: str | None, size: int) -> tuple[int, int]:
    """The first byte asked for and the one after the last. 416 for what the file has not."""
    if header is None:
        return 0, size
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or not any(match.groups()):
        raise Refused(416, "", f"This range cannot be served: {header[:50]}.")
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= size or end <= start:
        raise Refused(416, "", f"The file has {size:,} bytes, and the range {header[:50]} is outside.")
    return start, end


def _pieces(file: File, start: int, end: int) -> Iterable[bytes]:
    for place in range(start, end, CHUNK):
        yield file.read(place, min(end, place + CHUNK))
