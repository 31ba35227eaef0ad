"""The course cache: one folder per user for weights, service files and progress, written so that a kill loses nothing.

Knows paths, free space and atomic replacement. Knows nothing of what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labkit.base.errors import LabError


def root() -> Path:
    """The cache folder, made if needed: `LABKIT_CACHE`, or the platform's own place for caches.

    Raises LabError when it cannot be written.
    """
    import platformdirs

    folder = Path(os.environ.get("LABKIT_CACHE") or platformdirs.user_cache_dir("open-models-lab", appauthor=False))
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
    except (OSError, RuntimeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else problem
        raise LabError(
            f"The course cache {folder} cannot be written ({reason}): set LABKIT_CACHE to a folder that can."
        ) from None
    return folder


def subfolder(*parts: str) -> Path:
    """A folder below the cache, made if needed."""
    folder = root().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise LabError when the disk of `folder` has less than `needed_bytes` free."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        in_cache = folder.resolve().is_relative_to(root().resolve())
        raise LabError(
            f"{what} needs {needed_bytes / 1e6:,.0f} MB on the disk of {folder}, and {free / 1e6:,.0f} MB are free: "
            f"make room{', or set LABKIT_CACHE to a folder on a larger disk' if in_cache else ''}."
        )


def sha256(file: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path (file or folder) that becomes `target` when the block ends well, and vanishes when it does not.

    A process killed inside leaves only a hidden `.part` beside the target, which the next writer removes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", suffix=".part", dir=target.parent))
    inner = part / target.name
    try:
        yield inner
        if target.is_dir():
            # The old folder is renamed as a whole: where one file is open, Windows refuses, and nothing is lost.
            target.rename(part / "replaced")
        inner.replace(target)
    except OSError as problem:
        if isinstance(problem, PermissionError) and os.name == "nt" and target.exists():
            raise LabError(
                f"{target} is in use: close other notebooks and programs that read it, then try again."
            ) from None
        if problem.errno == errno.ENOSPC:
            raise LabError(
                f"The disk is full: make room on the disk of {target.parent}, then run the same command again."
            ) from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_atomically(target: Path, text: str, *, mode: int | None = None) -> None:
    """Replace the contents of `target` in one step (UTF-8): a reader sees the old text or the new, never a part."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")
        if mode is not None:
            part.chmod(mode)


def sweep(folder: Path) -> None:
    """Remove the `.part` folders of writers that are gone."""
    import psutil

    for part in folder.glob(".*.part"):
        pid = part.name.removesuffix(".part").rsplit(".", 2)[-2]
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            shutil.rmtree(part, ignore_errors=True)
