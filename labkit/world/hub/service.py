"""The local Hub as a service: one process a user, on 127.0.0.1, for the unmodified `huggingface_hub` client.

`local_hub()` joins it; `python -m labkit.world.hub.service` is its process; `labkit hub` shows it at a terminal.
Knows how to run it. What it answers is in `hub.api`; what is in it, in `hub.repos`.
"""

from __future__ import annotations

import argparse
import os
import sys

from labkit.base import processes
from labkit.base.errors import LabError
from labkit.world import services
from labkit.world.hub.repos import NOT_THE_HUB
from labkit.world.services import http_server
from labkit.world.services.host import host, new_key
from labkit.world.services.terminal import stay

TOKEN = "hf_course_learner"


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
    url = http_server.start(app, listener)
    # The key is for services that want one; this Hub knows users by the course's tokens, as the real one does.
    host(options.service, url, new_key(), linger=options.linger)
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
