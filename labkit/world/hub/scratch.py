"""Where learners publish on the local Hub: repositories with commits, branches and tags, kept in the course cache.

    hub-scratch/objects/SHA256          the content of a file, once, whatever its names
    hub-scratch/repos/KIND--OWNER--NAME.json   one repository: settings, commits, branches, tags

Objects are written first, then the one JSON file is replaced in a single step: a process that is killed in between
leaves unused objects, and never half a commit. Knows files and commits. Knows nothing of HTTP or of who may write.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.base import cache
from labkit.base.errors import LabError
from labkit.world.hub import card_metadata
from labkit.world.hub.files import LARGE, File, Repo
from labkit.world.services.refusals import Refused

# Weights of the course's own models are half a GB; a whole class of them would fill a laptop.
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Entry:
    """One file of a commit: the hash that names its content, its size, and git's name for it."""

    sha256: str
    size: int
    git: str


@dataclass(frozen=True)
class Commit:
    """One state of all files, and how it came about. `id` is computed from all that the rest says."""

    id: str
    title: str
    message: str
    user: str
    date: str
    files: dict[str, Entry]


@dataclass
class State:
    """One repository of a learner. It never changes: a commit makes a new one, and readers keep this one."""

    id: str
    kind: str
    private: bool = False
    gated: bool | str = False  # "auto" or "manual"; True from an older labkit means manual
    commits: dict[str, Commit] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    objects: Path = field(default_factory=Path, repr=False)
    _repos: dict[str, Repo] = field(default_factory=dict, repr=False)

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def key(self) -> str:
        return ("" if self.kind == "model" else "datasets/") + self.id.lower()

    def commit_of(self, revision: str | None) -> Commit:
        """The commit that a branch, a tag or its own forty digits name; `main` for None. 404 for another."""
        name = revision or "main"
        found = self.branches.get(name) or self.tags.get(name) or (name if name in self.commits else None)
        if found is None:
            names = ", ".join([*self.branches, *self.tags])
            raise Refused(404, f"{self.id} has no revision {name[:80]}: it has {names}.", error_code="RevisionNotFound")
        return self.commits[found]

    def history(self, revision: str | None) -> Iterator[Commit]:
        """The commit of a revision and all before it, the newest first."""
        at: str | None = self.commit_of(revision).id
        while at is not None:
            yield self.commits[at]
            at = self.parents[at]

    def at(self, revision: str | None) -> Repo:
        """What a reader sees of it at a revision."""
        commit = self.commit_of(revision)
        if commit.id not in self._repos:
            self._repos[commit.id] = self._repo(commit)
        return self._repos[commit.id]

    def _repo(self, commit: Commit) -> Repo:
        files = {path: self._file(path, entry) for path, entry in sorted(commit.files.items())}
        first = next(reversed(list(self.history(commit.id))))
        config = _json(files.get("config.json")) if self.kind == "model" else {}
        return Repo(
            id=self.id,
            files=files,
            card=card_metadata.metadata(_text(files.get("README.md"))),
            config=config if isinstance(config, dict) else {},
            parameters=_parameters(files.values()),
            gated=self.gated,
            kind=self.kind,
            private=self.private,
            commit=commit.id,
            created=first.date,
            modified=commit.date,
        )

    def _file(self, path: str, entry: Entry) -> File:
        place = self.objects / entry.sha256
        # A large content that came before its commit has no name in git.
        digest = entry.sha256 if path.endswith(LARGE) or not entry.git else entry.git
        return File(path, entry.size, on_disk=place, known_digest=digest)


class Scratch:
    """All repositories of the learners of this machine. One process writes: the Hub."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache.subfolder("hub-scratch")
        self.objects, self._places = self.folder / "objects", self.folder / "repos"
        self.lock = threading.Lock()
        for place in (self.objects, self._places):
            place.mkdir(parents=True, exist_ok=True)
        # Some of it is private, and on a shared machine others may look into a home.
        with contextlib.suppress(OSError):
            self.folder.chmod(0o700)
        self._states = {state.key: state for state in map(self._read, sorted(self._places.glob("*.json"))) if state}

    def get(self, key: str) -> State | None:
        return self._states.get(key)

    def all(self) -> list[State]:
        return list(self._states.values())

    def create(self, repo_id: str, kind: str, user: str, *, private: bool) -> State:
        """A new repository with one commit, `.gitattributes` alone, as the real Hub begins it."""
        state = State(repo_id, kind, private=private, objects=self.objects)
        rules = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LARGE)
        return self.commit(
            state, "main", user, "initial commit", "", {".gitattributes": self.put(rules.encode())}, parent=None
        )

    def commit(
        self,
        state: State,
        branch: str,
        user: str,
        title: str,
        message: str,
        files: dict[str, Entry],
        *,
        parent: str | None,
    ) -> State:
        """`state` with one commit more on `branch`; kept before it returns."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        listing = "".join(f"{path} {entry.sha256}\n" for path, entry in sorted(files.items()))
        said = "\n".join([state.key, parent or "", user, now, title, message, listing])
        commit = Commit(
            hashlib.sha1(said.encode(), usedforsecurity=False).hexdigest(), title, message, user, now, files
        )
        return self.keep(
            state,
            commits={**state.commits, commit.id: commit},
            parents={**state.parents, commit.id: parent},
            branches={**state.branches, branch: commit.id},
        )

    def keep(self, state: State, **changes: Any) -> State:
        """A changed repository, written in one step."""
        known = {name: getattr(state, name) for name in _KEPT}
        new = State(**(known | changes), objects=self.objects)
        record = {name: getattr(new, name) for name in _KEPT}
        record["commits"] = {key: _plain(commit) for key, commit in new.commits.items()}
        try:
            cache.write_atomically(self._place(new.key), json.dumps(record))
        except LabError as problem:
            raise Refused(507, str(problem)) from None
        self._states[new.key] = new
        return new

    def delete(self, state: State) -> None:
        """Forget a repository, and the contents that no other one names."""
        self._place(state.key).unlink(missing_ok=True)
        self._states.pop(state.key, None)
        still = {entry.sha256 for other in self.all() for one in other.commits.values() for entry in one.files.values()}
        gone = {entry.sha256 for commit in state.commits.values() for entry in commit.files.values()}
        for name in gone - still:
            (self.objects / name).unlink(missing_ok=True)

    def put(self, content: bytes) -> Entry:
        """Keep a content; the same one twice is kept once."""
        name = hashlib.sha256(content).hexdigest()
        if not (self.objects / name).exists():
            try:
                with cache.replacing(self.objects / name) as part:
                    part.write_bytes(content)
            except LabError as problem:
                raise Refused(507, str(problem)) from None
        return Entry(name, len(content), git_name(content))

    def stored(self, sha256: str) -> Entry | None:
        """The large content of that name, or None."""
        place = self.objects / sha256
        return Entry(sha256, place.stat().st_size, "") if place.is_file() else None

    def require_room(self, size: int) -> None:
        """413 for what is too large for the course, 507 when the disk is full."""
        if size > MOST_BYTES:
            raise Refused(
                413, f"The course's Hub takes files of up to {MOST_BYTES / 1e9:.0f} GB, not {size / 1e9:.1f}."
            )
        try:
            cache.require_space(self.folder, size + 50_000_000, "This upload")
        except LabError as problem:
            raise Refused(507, str(problem)) from None

    def _place(self, key: str) -> Path:
        return self._places / f"{key.replace('/', '--')}.json"

    def _read(self, place: Path) -> State | None:
        """A repository as it was kept; None for a file that makes no sense, which stays where it is."""
        try:
            record = json.loads(place.read_text(encoding="utf-8"))
            record["commits"] = {key: _commit(value) for key, value in record["commits"].items()}
            return State(**record, objects=self.objects)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


_KEPT = ("id", "kind", "private", "gated", "commits", "parents", "branches", "tags")


def git_name(content: bytes) -> str:
    """git's own name for a content."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _text(file: File | None) -> str:
    return file.read(0, file.size).decode("utf-8", "replace") if file else ""


def _parameters(files: Iterable[File]) -> dict[str, int]:
    """How many numbers of each dtype the safetensors files hold, read from their headers."""
    import math

    counts: dict[str, int] = {}
    for file in files:
        if file.path.endswith(".safetensors"):
            length = int.from_bytes(file.read(0, 8), "little")
            header = _parsed(file.read(8, 8 + min(length, 100_000_000)))
            for entry in header.values() if isinstance(header, dict) else ():
                if isinstance(entry, dict) and _is_shape(entry.get("shape")):
                    dtype = str(entry.get("dtype"))
                    counts[dtype] = counts.get(dtype, 0) + math.prod(entry["shape"])
    return counts


def _is_shape(value: Any) -> bool:
    whole = isinstance(value, list) and len(value) < 10
    return whole and all(isinstance(size, int) and 0 <= size < 2**40 for size in value)


def _json(file: File | None) -> Any:
    return {} if file is None else _parsed(file.read(0, file.size))


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {}


def _plain(commit: Commit) -> dict[str, Any]:
    return {**vars(commit), "files": {path: list(vars(entry).values()) for path, entry in commit.files.items()}}


def _commit(record: dict[str, Any]) -> Commit:
    return Commit(**{**record, "files": {path: Entry(*entry) for path, entry in record["files"].items()}})
