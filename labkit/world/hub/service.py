"""The local Hub as a service: one process a user, on 127.0.0.1, for the unmodified `huggingface_hub` client.

`local_hub()` joins it; `python -m labkit.world.hub.service` is its process; `labkit hub` shows it at a terminal.
Knows how to run it. What it answers is in `hub.api`; what is in it, in `hub.repos`.
"""

from __future__ import annotations

import argparse
import sys

from labkit.base import processes
from labkit.world import services
from labkit.world.hub.repos import NOT_THE_HUB
from labkit.world.services import host, http_server
from labkit.world.services.terminal import stay

TOKEN = "hf_course_learner"


def local_hub(*, port: int = 0) -> services.Service:
    """The running Hub, started if needed. `environment()` has what sends the client there: set it before any import.

    Raises LabError when it cannot start, or `port` is taken.
    """
    return services.join(HUB, port=port)


def environment(service: services.Service) -> dict[str, str]:
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


HUB = services.Kind("hub", _command)


def main(argv: list[str]) -> int:
    """The process of the service."""
    return host.main(argv, argparse.ArgumentParser(prog="python -m labkit.world.hub.service"), _serve)


def _serve(options: argparse.Namespace, key: str) -> tuple[str, None]:
    """The key is for services that want one; this Hub knows users by the course's tokens, as the real one does."""
    from labkit.world import weights
    from labkit.world.hub.api import application
    from labkit.world.hub.repos import repositories

    app = application(repositories(weights.ensure(quiet=True)))
    return http_server.start(app, processes.listen(options.port)), None


def hub(argv: list[str]) -> int:
    """`labkit hub`: start or join the local Hub, print how to use it, stay until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="labkit hub", description="A small Hub on this machine.")
    parser.add_argument("--port", type=int, default=0, help="use this port (default: any free one)")
    service = local_hub(port=parser.parse_args(argv).port)
    settings = [f"  export {name}={value}" for name, value in environment(service).items()]
    greeting = "\n".join([service.url, *settings, f"{NOT_THE_HUB}. Ctrl-C ends this."])
    return stay(service, greeting, called="Hub", ended="The local Hub has ended: run `python lab.py hub` again.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
