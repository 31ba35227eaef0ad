"""Who asks the local Hub, and what they may see and change: tokens, gates, private repositories, revisions.

Knows tokens and rules. Knows nothing of what is answered (`hub.api`) or of how changes are kept (`hub.scratch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request

from labkit.world.hub.files import Repo
from labkit.world.services.refusals import Refused


@dataclass(frozen=True)
class User:
    """Whom a token stands for: `role` is "read" or "write", as the real Hub says it."""

    name: str
    role: str
    let_in: bool = False  # behind every gate


# They open this Hub only, and are in no way secret.
TOKENS = {
    "hf_course_learner": User("learner", "write"),
    "hf_course_reader": User("learner", "read"),
    "hf_course_member": User("member", "write", let_in=True),
}


def user(request: Request) -> User | None:
    """Who asks, or None without a token. 401 for a token that this Hub does not know."""
    header = request.headers.get("authorization", "")
    if not header:
        return None
    token = header.removeprefix("Bearer ").strip()
    if token not in TOKENS:
        raise Refused(401, "Invalid credentials in Authorization header: this Hub knows the course's tokens only.")
    return TOKENS[token]


def kind_of(request: Request) -> str:
    """ "model" or "dataset", told by the path."""
    return "dataset" if request.url.path.startswith(("/api/datasets/", "/datasets/")) else "model"


def key_of(request: Request) -> str:
    """The name that the repository of a path is kept under, in small letters."""
    prefix = "" if kind_of(request) == "model" else "datasets/"
    return f"{prefix}{'{owner}/{name}'.format(**request.path_params)}".lower()


def repo(request: Request) -> Repo:
    """The repository that a path names, as of its revision.

    Where there is none: 401 without a token and 404 with one, as on the real Hub. It may be private.
    """
    asking, key = user(request), key_of(request)
    revision = request.path_params.get("revision")
    found = request.app.state.repos.get(key)
    if found is None:
        state = request.app.state.scratch.get(key)
        if state is None or not may_see(state.private, state.owner, asking):
            raise no_repo(request, asking)
        return state.at(revision)
    if revision not in (None, "main", found.sha):
        raise Refused(404, f"{found.id} has no revision {revision}: it has main.", error_code="RevisionNotFound")
    return found


def no_repo(request: Request, asking: User | None) -> Refused:
    wanted = "{owner}/{name}".format(**request.path_params)
    return Refused(
        404 if asking else 401, f"There is no repository {wanted} on the course's Hub.", error_code="RepoNotFound"
    )


def may_see(private: bool, owner: str, asking: User | None) -> bool:
    return not private or (asking is not None and asking.name == owner)


def visible(request: Request) -> Iterable[Repo]:
    """All that who asks can find: the catalogue, what is public, and their own."""
    asking = user(request)
    yield from request.app.state.repos.values()
    for state in request.app.state.scratch.all():
        if may_see(state.private, state.owner, asking):
            yield state.at(None)


def require_access(request: Request, found: Repo) -> None:
    """401 or 403 for the files behind a gate. Its maker and who was let in may read them."""
    asking = user(request)
    if found.gated and not (asking and (asking.let_in or asking.name == found.author)):
        how = "log in" if asking is None else "ask for access on its page"
        raise Refused(
            403 if asking else 401, f"Access to {found.id} is restricted: {how} first.", error_code="GatedRepo"
        )


def require_writer(request: Request, owner: str | None) -> User:
    """Who asks, if they may write in the place of `owner` (None: their own). 401 or 403 in a sentence."""
    asking = user(request)
    if asking is None:
        raise Refused(401, "Writing needs a token: the course's Hub takes hf_course_learner.")
    if asking.role != "write":
        raise Refused(403, "This token may read and not write: make one with the role write, for this task alone.")
    if owner is not None and owner.lower() != asking.name:
        raise Refused(403, f"You don't have the rights to write in {owner}/: your own place is {asking.name}/.")
    return asking
