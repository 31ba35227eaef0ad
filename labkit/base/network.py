"""Whether a host answers, found out once and within two seconds; and the addresses that need no proxy.

To find out by calling a library would cost 23 seconds of retries on a dead network.
"""

from __future__ import annotations

import functools
import os
import socket
import urllib.request
from typing import Any

HUB = "huggingface.co"
LOOPBACK = "127.0.0.1,localhost"  # for NO_PROXY: a school's proxy would catch the course's own servers


def no_proxy() -> dict[str, str]:
    """NO_PROXY in both spellings: what is set there already, and `LOOPBACK`."""
    known = {name: os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    return {
        name: value if LOOPBACK in value else ",".join(filter(None, [value, LOOPBACK])) for name, value in known.items()
    }


def open_local(request: str | urllib.request.Request, seconds: float) -> Any:
    """The answer of a server on this machine, asked past any proxy. OSError when there is none within `seconds`."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=seconds)


@functools.lru_cache
def answers(host: str, seconds: float = 2.0) -> bool:
    """Whether port 443 of `host` opens within `seconds`, name resolution included. Asked once a process."""
    import threading

    answer: list[bool] = []

    def probe() -> None:
        try:
            with socket.create_connection((host, 443), timeout=seconds):
                answer.append(True)
        except OSError:
            answer.append(False)

    # Name resolution has no time limit of its own, so the waiting is done outside.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answer and answer[0])
