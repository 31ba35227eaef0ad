"""What all tests have: a cache of their own, the course model where one asks for it, a browser, reasons for skipping.

No test reads or writes the learner's cache, but for model weights and torchao, and those only through `course_cache`.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.base import workarounds
from tests.sharing import (  # noqa: F401  (fixtures)
    _cache_with_model,
    _loaded,
    _nothing_outlives_the_session,
    _real_places,
    _unchanged,
    course_cache,
    own_course_cache,
    pair,
    require_nothing_stays,
)

# A shell that starts the tests in the background has SIGINT ignored, in all their children too: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a lesson's set-up cell does, tests that use peft on their own need too.
workarounds.apply()

OWN_VARIABLES = ("LABKIT_MODE", "LABKIT_MODEL", "LABKIT_ENDPOINT", "LABKIT_ENDPOINT_KEY", "HF_TOKEN")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot do or was not asked to do."""
    wants_network = "network" in config.option.markexpr and "not network" not in config.option.markexpr
    for item in items:
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="this machine has no GPU"))
        if item.get_closest_marker("network"):
            closed = pytest.mark.skip(reason="goes to the internet: run it with `-m network`")
            item.add_marker(pytest.mark.enable_socket if wants_network else closed)
        if item.get_closest_marker("weekly") and not config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="takes long: run it with `-m weekly`"))


def _has_gpu() -> bool:
    from labkit.base import machine

    return machine.detect().gpu is not None


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test has an empty course cache, none of the learner's settings, and leaves no service in that cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LABKIT_CACHE", str(folder))
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield folder
    if (folder / "services").is_dir():
        require_nothing_stays(folder)


@pytest.fixture
def cuda():
    """torch, where it has an NVIDIA GPU."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this machine has a GPU, but not one for CUDA")
    return torch


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that playwright can drive; skips where there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if not own.exists():
        pytest.skip("no Chromium here: install one, or run `playwright install chromium`")
    return str(own)
