"""The learner's own Hugging Face settings: where their cache is, which Hub they ask, whether they have a token.

The local world points this process to the course's Hub. What was set before is remembered here, for a model that only
the learner's own cache or the real Hub has. Knows environment variables and files. Asks no Hub.
"""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import Any

from labkit.base import cache, network

_before: dict[str, str] | None = None  # the learner's environment, once the course has changed it


def remember() -> None:
    """Keep the environment as it is now: the course is about to change it."""
    global _before
    _before = dict(os.environ)


def is_changed() -> bool:
    """Whether this process talks to the course's Hub, so that its environment is no longer the learner's."""
    return _before is not None


def own(*, ask: bool = False) -> dict[str, Any]:
    """`cache_dir`, `endpoint` and `token` as the learner had them, for `snapshot_download`; {} when nothing changed.

    With `ask` the secret HF_TOKEN of Colab counts too. Colab opens a window before the learner when it is first read.
    """
    if _before is None:
        return {}
    before = _learners()
    home, token = _home_and_token(before)
    return {
        "cache_dir": before.get("HF_HUB_CACHE") or before.get("HUGGINGFACE_HUB_CACHE") or str(home / "hub"),
        "endpoint": endpoint(),
        "token": token or (_colab_secret() if ask else "") or False,
    }


def endpoint() -> str:
    """The address of the Hub that the learner asks: a mirror where one is set, else the real one."""
    return _learners().get("HF_ENDPOINT") or network.HUB


def _learners() -> dict[str, str]:
    """The learner's environment. A program that a lesson starts inherits the course's: that is not theirs."""
    before = dict(os.environ) if _before is None else _before
    home = before.get("HF_HOME", "")
    return {} if home.endswith("local-hub") and Path(home) == cache.root() / "local-hub" else before


def has_token() -> bool:
    """Whether the learner has a Hugging Face token: in the environment, kept by `hf auth login`, or Colab's secret."""
    if _home_and_token(dict(os.environ) if _before is None else _before)[1]:
        return True
    return bool(_colab_secret())


def readable_token() -> dict[str, str]:
    """HF_TOKEN for the libraries, where the learner's token is in a file that they cannot read; else nothing."""
    home, token = _home_and_token(dict(os.environ))
    file = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    if os.environ.get("HF_TOKEN") or not token or not file.exists():
        return {}
    return {} if file.read_bytes().strip() == token.encode() else {"HF_TOKEN": token}


def _colab_secret() -> str:
    """What a learner keeps as HF_TOKEN under the key at the left of a Colab notebook; empty without, or elsewhere."""
    if "google.colab" not in sys.modules:
        return ""
    try:
        from google.colab import userdata  # type: ignore[import-not-found]

        return userdata.get("HF_TOKEN") or ""
    except Exception:  # no such secret, or no leave to read it: each has an error class of its own
        return ""


def _home_and_token(environment: dict[str, str]) -> tuple[Path, str]:
    """The folder of huggingface_hub, and the token that it would find there or in the environment."""
    cache_home = Path(environment.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(environment.get("HF_HOME") or cache_home / "huggingface").expanduser()
    if token := environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        return home, "".join(token.split())
    try:
        return home, _decoded(Path(environment.get("HF_TOKEN_PATH") or home / "token").read_bytes())
    except OSError:
        return home, ""


def _decoded(content: bytes) -> str:
    """A token file as a token: PowerShell writes UTF-16, and some editors begin with a byte order mark."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return "".join(content.decode(encoding, "replace").split())
