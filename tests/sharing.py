"""What the tests of one session share, and the certainty that nobody changes it or leaves anything behind.

    course_cache       a cache with the course model; services that a test joins there are those of all tests
    own_course_cache   the same for one test alone: for tests of starting, killing and stopping services
    pair               the course model in fp32 and its tokenizer, loaded once: read them, never change them

A test that takes none of them has an empty cache. Whatever a test started in a cache of its own is gone after it, and
nothing of the session outlives the session. With several workers (pytest-xdist) each is a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

# What the person who runs the tests has set; `_own_cache` takes it away before each test.
REAL_CACHE = os.environ.get("LABKIT_CACHE")
_SHARED = ("models", "environments", "npm")  # the only folders of the learner's cache that tests see


@contextlib.contextmanager
def at(folder: Path | str | None) -> Iterator[None]:
    """With this folder as the course cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(folder)) if folder else patch.delenv("LABKIT_CACHE", raising=False)
        yield


@pytest.fixture(scope="session")
def _real_places() -> list[Path]:
    from labkit.base import cache
    from labkit.world import weights

    with at(REAL_CACHE):
        if weights.status() != "ready":
            pytest.skip("the course model is not in the cache yet: run `python lab.py setup` once")
        return [cache.subfolder(name) for name in _SHARED]


@contextlib.contextmanager
def _linked(places: list[Path], folder: Path) -> Iterator[Path]:
    from author.workspace import link, unlink

    for place in places:
        link(place, folder / place.name)
    yield folder
    # pytest deletes old temporary folders: it must not find a way into the real one.
    for place in places:
        unlink(folder / place.name)


@pytest.fixture(scope="session")
def _cache_with_model(_real_places: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with _linked(_real_places, tmp_path_factory.mktemp("course-cache")) as folder:
        yield folder


@pytest.fixture
def course_cache(_own_cache: Path, _cache_with_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course cache that holds the real model (read it, never write it) and is the session's own in all else."""
    monkeypatch.setenv("LABKIT_CACHE", str(_cache_with_model))
    return _cache_with_model


@pytest.fixture
def own_course_cache(_own_cache: Path, _real_places: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A course cache that holds the real model and is this test's own in all else, also where its module shares one."""
    monkeypatch.setenv("LABKIT_CACHE", str(_own_cache))
    with _linked(_real_places, _own_cache):
        yield _own_cache


# --- the model


@pytest.fixture(scope="session")
def _loaded(_cache_with_model: Path) -> tuple[Any, Any]:
    from labkit.models import local

    with at(_cache_with_model):
        return local.load(dtype="fp32")


@pytest.fixture(scope="module")
def _unchanged(_loaded: tuple[Any, Any], _cache_with_model: Path) -> Iterator[None]:
    """After each module that has read the model it is what it was: its settings, its parts, each weight."""
    before = _parts(*_loaded)
    yield
    assert _parts(*_loaded) == before, "a test of this module changed the model that all tests share"
    with at(_cache_with_model):
        assert not _other_weights(_loaded[0]), "a test of this module changed weights that all tests share"


def _parts(model: Any, tokenizer: Any) -> list[Any]:
    modules = [
        (name, type(part), part.training, len(part._forward_hooks), len(part._forward_pre_hooks))
        for name, part in model.named_modules()
    ]
    weights = [(name, one.requires_grad, one.grad is None) for name, one in model.named_parameters()]
    settings = [model.config.to_dict(), model.generation_config.to_dict()]
    return [modules, weights, *settings, len(tokenizer), tokenizer.chat_template, tokenizer.padding_side]


def _other_weights(model: Any) -> list[str]:
    """The names of parameters that are not those of the file, to the bit."""
    import torch
    from safetensors import safe_open

    from labkit.world import weights

    with safe_open(weights.ensure(quiet=True) / "model.safetensors", "pt") as file:
        return [name for name, one in model.named_parameters() if not torch.equal(one.detach(), file.get_tensor(name))]


@pytest.fixture
def pair(course_cache: Path, _unchanged: None, _loaded: tuple[Any, Any]) -> tuple[Any, Any]:
    """The course model in fp32 and its tokenizer, those of the session: a test that changes them loads its own."""
    return _loaded


# --- nothing stays


def processes_of(folder: Path) -> list[psutil.Process]:
    """The other living processes whose course cache is this folder or lies in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            theirs = process.environ().get("LABKIT_CACHE")
            # multiprocessing's own helper ends with this process.
            if theirs and Path(theirs).is_relative_to(folder) and "resource_tracker" not in str(process.cmdline()):
                found.append(process)
    return found


def require_nothing_stays(folder: Path, seconds: float = 10) -> None:
    """Stop the services of the cache `folder`, or of all caches in it; fail, and kill, when a process lives on."""
    from labkit.world import services

    for place in [found for depth in ("", "*/", "*/*/") for found in folder.glob(f"{depth}services")]:
        if place.is_dir():
            with at(place.parent):
                services.leave_all()
                services.stop_all()
    deadline = time.monotonic() + seconds
    while (stayed := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    told = [" ".join(process.cmdline()) for process in stayed if process.is_running()]
    for process in stayed:
        with contextlib.suppress(psutil.Error):
            process.kill()
    assert not stayed, f"outlived what started it: {told}"


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The services that tests share end here, and no process has a cache of this session any more."""
    yield
    require_nothing_stays(tmp_path_factory.getbasetemp())
