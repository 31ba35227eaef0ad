"""The local Hub as a service: one process a user, on 127.0.0.1, for the unmodified `huggingface_hub` client.

`local_hub()` joins it; `python -m labkit.world.hub.service` is its process; `labkit hub` shows it at a terminal.
Knows how to run it. What it answers is in `hub.api`; what is in it, in `hub.repos`.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from labkit.base import processes
from labkit.base.errors import LabError
from labkit.world import services
from labkit.world.hub.repos import NOT_THE_HUB
from labkit.world.services.host import host, new_key
from labkit.world.services.terminal import stay

if TYPE_CHECKING:
    import uvicorn

TOKEN = "hf_course_learner"
_PATIENCE_S = 30.0  # how long a client may take to say what it wants


def local_hub(*, port: int = 0) -> services.Service:
    """The running Hub, started if needed. `.environment()` has what sends the client there: set it before any import.

    Raises LabError when it cannot start, or `port` is taken.
    """
    return services.join("hub", port=port)


def _environment(service: services.Service) -> dict[str, str]:
    """Its own HF_HOME, since the client's cache does not know one Hub from another, and a token that is nobody's."""
    from labkit.base import cache, network

    return {
        "HF_ENDPOINT": service.url,
        "HF_HOME": str(cache.subfolder("local-hub")),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": network.LOOPBACK,
    }


def _command() -> list[str]:
    return [sys.executable, "-m", "labkit.world.hub.service"]


services.register("hub", _command, environment=_environment)


def server(app: Any, *, patience: float = _PATIENCE_S) -> uvicorn.Server:
    """The HTTP server of the Hub: no header over 64 KB, and no connection that stays silent in mid-request.

    `patience` is how many seconds a request's head may take in all, and how long its body may pause.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """uvicorn itself waits for ever, on a first request and on all that follow on the same connection."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            self.watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:  # a head is there, or more of a body
                self.since = self.loop.time()

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        def watch(self) -> None:
            if self.transport.is_closing():
                return
            for_them = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
            left = patience - (self.loop.time() - self.since)
            if for_them and left <= 0:
                self.transport.close()
            else:
                self.loop.call_later(left if for_them else patience, self.watch)

    limits = {"h11_max_incomplete_event_size": 64 * 1024, "lifespan": "off"}
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", http=Impatient, **limits))


def main(argv: list[str]) -> int:
    """The process of the service: serve until nobody uses it."""
    from labkit.world import weights
    from labkit.world.hub.api import application
    from labkit.world.hub.repos import repositories

    parser = argparse.ArgumentParser(prog="python -m labkit.world.hub.service", description=__doc__.splitlines()[0])
    parser.add_argument("--service", required=True, help="the name of the service")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--linger", type=float, default=services.LINGER_S, help="seconds to wait for a next user")
    options = parser.parse_args(argv)
    try:
        app = application(repositories(weights.ensure(quiet=True)))
        listener = processes.listen(options.port)
    except LabError as problem:
        print(f"labkit: {problem}", file=sys.stderr)
        return 1
    threading.Thread(target=server(app).run, kwargs={"sockets": [listener]}, daemon=True).start()
    # The key is for services that want one; this Hub knows users by the course's tokens, as the real one does.
    host(options.service, f"http://127.0.0.1:{listener.getsockname()[1]}", new_key(), linger=options.linger)
    os._exit(0)


def hub(argv: list[str]) -> int:
    """`labkit hub`: start or join the local Hub, print how to use it, stay until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="labkit hub", description="A small Hub on this machine.")
    parser.add_argument("--port", type=int, default=0, help="use this port (default: any free one)")
    service = local_hub(port=parser.parse_args(argv).port)
    settings = [f"  export {name}={value}" for name, value in service.environment().items()]
    greeting = "\n".join([service.url, *settings, f"{NOT_THE_HUB}. Ctrl-C ends this."])
    return stay(service, greeting, called="Hub", ended="The local Hub has ended: run `python lab.py hub` again.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
