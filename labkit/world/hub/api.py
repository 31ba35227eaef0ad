"""The Hub's protocol, for the unmodified `huggingface_hub` client: a Starlette application.

What it cannot answer it refuses with 400 rather than pretend, and every answer warns that this is the course's Hub.
Facts about the protocol: the client's own source and requests, huggingface_hub 2.4, tried on 2026-11-23.
Knows routes. Searching, listing files, their bytes and writing have modules of their own.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labkit.world.hub import contents, upload
from labkit.world.hub.access import repo, require_access, user, visible
from labkit.world.hub.answers import expanded, facts_of, only, truth
from labkit.world.hub.drills import HubDrills
from labkit.world.hub.files import Repo
from labkit.world.hub.repos import NOT_THE_HUB
from labkit.world.hub.resolve import resolve
from labkit.world.hub.scratch import Scratch
from labkit.world.hub.search import dataset_tags_by_type, list_datasets, list_models, tags_by_type
from labkit.world.services.middleware import FromHere, Mark
from labkit.world.services.refusals import Refused, handlers


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
        routes += [Route(f"/api/{kind}/{{name}}{rest}", _without_owner) for rest in _BELOW]
    routes.append(Route("/{name}/resolve/{revision}/{path:path}", _without_owner))
    middleware = [Middleware(Mark, warning=NOT_THE_HUB), Middleware(FromHere), Middleware(HubDrills)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers(_elsewhere))
    app.state.repos, app.state.scratch, app.state.tickets = repos, scratch or Scratch(), {}
    return app


_BELOW = ("", "/revision/{revision:path}", "/tree/{path:path}")


def _of_one_repository(path: str) -> list[Route]:
    return [
        Route(path, _info),
        Route(f"{path}/revision/{{revision:path}}", _info),
        Route(f"{path}/tree/{{revision}}", contents.tree),
        Route(f"{path}/tree/{{revision}}/{{path:path}}", contents.tree),
        Route(f"{path}/paths-info/{{revision}}", contents.paths_info, methods=["POST"]),
        Route(f"{path}/refs", contents.refs),
        Route(f"{path}/commits/{{revision}}", contents.commits),
        Route(f"{path}/safetensors-metadata/{{path:path}}", contents.safetensors_metadata),
        Route(f"{path}/auth-check", _auth_check),
        Route(f"{path}/settings", upload.settings, methods=["PUT"]),
        Route(f"{path}/preupload/{{revision}}", upload.preupload, methods=["POST"]),
        Route(f"{path}/commit/{{revision}}", upload.commit, methods=["POST"]),
        Route(f"{path}/branch/{{branch:path}}", upload.branch, methods=["POST", "DELETE"]),
        Route(f"{path}/tag/{{revision:path}}", upload.tag, methods=["POST", "DELETE"]),
    ]


def _elsewhere(request: Request, status: int) -> Refused:
    place = f"{request.method} {request.url.path[:80]}"
    return Refused(400, f"The course's Hub has nothing at {place}: try it in live mode.")


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _nothing(request: Request) -> Response:
    return JSONResponse({})


async def _whoami(request: Request) -> Response:
    asking = user(request)
    if asking is None:
        raise Refused(401, "Invalid user token.")
    rights = {"type": "access_token", "accessToken": {"displayName": "course", "role": asking.role}}
    return JSONResponse({"type": "user", "name": asking.name, "fullname": asking.name, "orgs": [], "auth": rights})


async def _auth_check(request: Request) -> Response:
    require_access(request, repo(request))
    return JSONResponse({})


# --- one repository


async def _info(request: Request) -> Response:
    found, query = repo(request), request.query_params
    only(query, {"blobs", "securityStatus", "expand", "expand[]"})
    if truth(query, "securityStatus"):
        raise Refused(400, "The course's Hub cannot tell a security status: nobody scans files here.")
    wanted = query.getlist("expand") + query.getlist("expand[]")
    if wanted:
        return JSONResponse(expanded(found, wanted, visible(request)))
    return JSONResponse(facts_of(found, blobs=truth(query, "blobs")))


async def _without_owner(request: Request) -> Response:
    """The real Hub has a few old repositories whose id is a name alone, such as gpt2. This one has none."""
    name = request.path_params["name"]
    raise Refused(
        404 if user(request) else 401,
        f"The course's Hub has no {name[:80]}: an id here is owner/name.",
        error_code="RepoNotFound",
    )
