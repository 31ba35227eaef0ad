"""The Hub's protocol, for the unmodified `huggingface_hub` client: a Starlette application.

It is honest: what it cannot answer it refuses with 400, and every answer carries a warning that this is the course's
Hub. Facts about the protocol: the client's own source and requests, huggingface_hub 2.4, tried on 2026-11-23.
Knows routes and what is told of one repository; searching, files and writing have modules of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labkit.classroom import hub_upload as upload
from labkit.classroom.hub_access import key_of, repo, require_access, user, visible
from labkit.classroom.hub_answers import Refused, expanded, facts_of
from labkit.classroom.hub_drills import HubDrills
from labkit.classroom.hub_files import File, Repo
from labkit.classroom.hub_repos import NOT_THE_HUB
from labkit.classroom.hub_resolve import resolve
from labkit.classroom.hub_scratch import Scratch
from labkit.classroom.hub_search import dataset_tags_by_type, list_datasets, list_models, tags_by_type

_UNKNOWN_DAY = "1970-01-01T00:00:00.000Z"


def application(repos: dict[str, Repo], scratch: Scratch | None = None) -> Starlette:
    """The Hub that serves `repos`, by `Repo.key`, and what learners publish in `scratch`."""
    routes = [
        Route("/health", _health),
        Route("/api/agent-harnesses", _nothing),
        Route("/api/whoami-v2", _whoami),
        Route("/api/models", list_models),
        Route("/api/models-tags-by-type", tags_by_type),
        Route("/api/datasets", list_datasets),
        Route("/api/datasets-tags-by-type", dataset_tags_by_type),
        Route("/api/repos/create", upload.create, methods=["POST"]),
        Route("/api/repos/delete", upload.delete, methods=["DELETE"]),
        Route("/api/validate-yaml", upload.validate_yaml, methods=["POST"]),
        Route("/_upload/{ticket}", upload.put, methods=["PUT"]),
        Route("/datasets/{owner}/{name}.git/info/lfs/objects/batch", upload.batch, methods=["POST"]),
        Route("/{owner}/{name}.git/info/lfs/objects/batch", upload.batch, methods=["POST"]),
        Route("/datasets/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
        Route("/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
    ]
    for kind in ("models", "datasets"):
        routes += _of_one_repository(f"/api/{kind}/{{owner}}/{{name}}")
    middleware = [Middleware(_Mark), Middleware(HubDrills)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _error})
    app.state.repos, app.state.scratch, app.state.tickets = repos, scratch or Scratch(), {}
    return app


def _of_one_repository(path: str) -> list[Route]:
    return [
        Route(path, _info),
        Route(f"{path}/revision/{{revision:path}}", _info),
        Route(f"{path}/tree/{{revision}}", _tree),
        Route(f"{path}/tree/{{revision}}/{{path:path}}", _tree),
        Route(f"{path}/paths-info/{{revision}}", _paths, methods=["POST"]),
        Route(f"{path}/refs", _refs),
        Route(f"{path}/commits/{{revision}}", _commits),
        Route(f"{path}/auth-check", _auth_check),
        Route(f"{path}/settings", upload.settings, methods=["PUT"]),
        Route(f"{path}/preupload/{{revision}}", upload.preupload, methods=["POST"]),
        Route(f"{path}/commit/{{revision}}", upload.commit, methods=["POST"]),
        Route(f"{path}/branch/{{branch:path}}", upload.branch, methods=["POST", "DELETE"]),
        Route(f"{path}/tag/{{revision:path}}", upload.tag, methods=["POST", "DELETE"]),
    ]


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
    if problem.status_code in (404, 405) and not isinstance(problem, Refused):
        place = f"{request.method} {request.url.path[:80]}"
        problem = Refused(400, "", f"The course's Hub has nothing at {place}: try it in live mode.")
    headers = {"X-Error-Message": problem.detail, **(problem.headers or {})}
    return JSONResponse({"error": problem.detail}, problem.status_code, headers)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _nothing(request: Request) -> Response:
    return JSONResponse({})


async def _whoami(request: Request) -> Response:
    asking = user(request)
    if asking is None:
        raise Refused(401, "", "Invalid user token.")
    rights = {"type": "access_token", "accessToken": {"displayName": "course", "role": asking.role}}
    return JSONResponse({"type": "user", "name": asking.name, "fullname": asking.name, "orgs": [], "auth": rights})


async def _auth_check(request: Request) -> Response:
    require_access(request, repo(request))
    return JSONResponse({})


# --- one repository


async def _info(request: Request) -> Response:
    found = repo(request)
    wanted = request.query_params.getlist("expand") + request.query_params.getlist("expand[]")
    if wanted:
        return JSONResponse(expanded(found, wanted, visible(request)))
    return JSONResponse(facts_of(found, blobs=request.query_params.get("blobs", "").lower() in ("true", "1")))


def _entry(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.digest[:40], "size": file.size, "path": file.path}
    if file.is_large:
        entry["lfs"] = {"oid": file.digest, "size": file.size, "pointerSize": 135}
    return entry


def _folder(found: Repo, path: str) -> dict[str, Any]:
    """A folder is named by what lies in it: git does the same."""
    import hashlib

    inside = "".join(f"{name} {file.digest}\n" for name, file in found.files.items() if name.startswith(f"{path}/"))
    oid = hashlib.sha1(inside.encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _folders(found: Repo) -> list[str]:
    parts = [path.split("/")[:-1] for path in found.files]
    return sorted({"/".join(part[: end + 1]) for part in parts for end in range(len(part))})


async def _tree(request: Request) -> Response:
    """What lies in a folder; with `recursive`, in the folders below it too."""
    found, path = repo(request), request.path_params.get("path", "").strip("/")
    folders = _folders(found)
    if path and path not in folders:
        raise Refused(404, "EntryNotFound", f"{found.id} has no folder {path[:80]}.")
    start = f"{path}/" if path else ""
    deep = request.query_params.get("recursive", "").lower() in ("true", "1")
    entries = [_folder(found, name) for name in folders] + [_entry(file) for file in found.files.values()]
    listed = [entry for entry in entries if entry["path"].startswith(start)]
    return JSONResponse([entry for entry in listed if deep or "/" not in entry["path"][len(start) :]])


async def _paths(request: Request) -> Response:
    found, form = repo(request), parse_qs((await upload.body_of(request)).decode("utf-8", "replace"))
    folders, answer = _folders(found), []
    for path in form.get("paths", []):
        if path in found.files:
            answer.append(_entry(found.files[path]))
        elif path in folders:
            answer.append(_folder(found, path))
    return JSONResponse(answer)


async def _refs(request: Request) -> Response:
    found = repo(request)
    state = request.app.state.scratch.get(key_of(request))
    branches, tags = (state.branches, state.tags) if state else ({"main": found.sha}, {})
    return JSONResponse({"branches": _named("heads", branches), "tags": _named("tags", tags), "converts": []})


def _named(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in names.items()]


async def _commits(request: Request) -> Response:
    found = repo(request)
    state = request.app.state.scratch.get(key_of(request))
    if state is None:
        date = facts_of(found).get("createdAt", _UNKNOWN_DAY)
        commit = {"id": found.sha, "title": "The files as they are", "message": "", "authors": [{"user": "course"}]}
        return JSONResponse([commit | {"date": date}])
    return JSONResponse(
        [
            {
                "id": one.id,
                "title": one.title,
                "message": one.message,
                "authors": [{"user": one.user}],
                "date": one.date,
            }
            for one in state.history(request.path_params["revision"])
        ]
    )
