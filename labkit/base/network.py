"""One question, asked once and answered within two seconds: does a host answer?

Trying a library call and catching the failure would cost 23 seconds of retries on a dead network, so nothing here does.
"""

from __future__ import annotations

import functools
import socket

HUB = "huggingface.co"


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
