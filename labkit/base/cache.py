"""The course cache: one folder per user for weights, service files and progress, written so that a kill loses nothing.

Knows paths, free space and atomic replacement. Knows nothing of what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.base.errors import LabError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_A_DAY = 86_400  # seconds
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # not every system has quotas


def root() -> Path:
    """The cache folder, made if needed: `LABKIT_CACHE`, or the platform's own place for caches.

    Raises LabError when it cannot be written.
    """
    import platformdirs

    folder = Path(os.environ.get("LABKIT_CACHE") or platformdirs.user_cache_dir("open-models-lab", appauthor=False))
    try:
        folder = folder.expanduser()
        if not folder.is_absolute():
            folder = folder.absolute()
            os.environ["LABKIT_CACHE"] = str(folder)  # what we start runs in other folders
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
    except (OSError, RuntimeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else problem
        raise LabError(
            f"The course cache {folder} cannot be written ({reason}): set LABKIT_CACHE to a folder that can."
        ) from None
    return folder


def host() -> str:
    """This machine or container, for names of files that hold a process's number: elsewhere it is another process."""
    return re.sub(r"[^A-Za-z0-9]+", "-", platform.node()) or "here"


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
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.{host()}.{os.getpid()}.", suffix=".part", dir=target.parent))
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
        if problem.errno in _FULL:
            full = "The disk is full" if problem.errno == errno.ENOSPC else "Your share of the disk (quota) is used up"
            raise LabError(
                f"{full}: make room on the disk of {target.parent}, then run the same command again."
            ) from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def locked(file: Path, seconds: float = -1) -> Iterator[None]:
    """Alone with `file`, a lock of this account's, for as long as the block takes; -1 waits for ever for it.

    TimeoutError when another process still has it after `seconds`. Where the file system has no locks (NFS without
    its lock service), the block runs without: what is written is replaced in one step anyway.
    """
    from filelock import FileLock

    lock = FileLock(file, mode=0o600)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock.acquire(timeout=seconds))
        except (OSError, NotImplementedError) as problem:
            if not isinstance(problem, NotImplementedError) and problem.errno not in _NO_LOCKS:
                raise
        with contextlib.suppress(OSError):
            file.chmod(0o600)  # an older labkit may have made it
        yield


def write_atomically(target: Path, text: str, *, mode: int | None = None) -> None:
    """Replace the contents of `target` in one step (UTF-8): a reader sees the old text or the new, never a part."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")
        if mode is not None:
            part.chmod(mode)


def sweep(folder: Path) -> None:
    """Remove the `.part` folders of writers that are gone; another machine's, which cannot be asked, after a day."""
    import psutil

    for part in folder.glob(".*.part"):
        *_, place, pid, _ = ["", *part.name.removesuffix(".part").split(".")]
        if place == host():
            gone = not (pid.isdigit() and psutil.pid_exists(int(pid)))
        else:
            gone = time.time() - part.stat().st_mtime > _A_DAY
        if gone:
            shutil.rmtree(part, ignore_errors=True)
