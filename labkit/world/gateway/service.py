"""The inference gateway as a service: one process a user, on 127.0.0.1, or for a class, on the network with a token.

`inference_gateway()` joins it; `python -m labkit.world.gateway.service` is its process; `labkit gateway` shows it at a
terminal, and with `--lan` serves a class. Knows how to run it. What it answers is in `gateway.api`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import socket
import sys
from typing import Any

from labkit.base import processes
from labkit.base.errors import LabError
from labkit.world import services
from labkit.world.gateway.guard import NOT_A_PROVIDER
from labkit.world.services import host, http_server
from labkit.world.services.terminal import stay, until_ctrl_c

_SHORTEST_TOKEN = 8


def inference_gateway(*, port: int = 0) -> services.Service:
    """The running gateway, started if needed. It forwards to `LABKIT_ENDPOINT` (with `LABKIT_ENDPOINT_KEY`) if set.

    Raises LabError when that is no URL, when it cannot start, or `port` is taken.
    """
    return services.join(GATEWAY, port=port, **_destination())


def _destination() -> dict[str, str]:
    """What tells one gateway from another. The key itself stays out of command lines and file names."""
    from labkit.world.gateway.upstream import base_url

    url, key = os.environ.get("LABKIT_ENDPOINT"), os.environ.get("LABKIT_ENDPOINT_KEY", "")
    if not url:
        return {}
    return {"endpoint": base_url(url), "fingerprint": hashlib.sha256(key.encode()).hexdigest()[:12]}


def _command(endpoint: str | None = None, fingerprint: str | None = None) -> list[str]:
    command = [sys.executable, "-m", "labkit.world.gateway.service"]
    return [*command, "--endpoint", endpoint] if endpoint else command


GATEWAY = services.Kind("gateway", _command)


def main(argv: list[str]) -> int:
    """The process of the service."""
    parser = argparse.ArgumentParser(prog="python -m labkit.world.gateway.service")
    parser.add_argument("--endpoint", help="forward to this URL, with the key in LABKIT_ENDPOINT_KEY")
    return host.main(argv, parser, lambda options, key: (_serve(options.port, options.endpoint, key=key), None))


def _serve(port: int, endpoint: str | None, *, address: str = "127.0.0.1", **access: Any) -> str:
    """Serve in a thread, as long as the process lives; the URL."""
    from labkit.world.gateway import upstream as upstreams
    from labkit.world.gateway.api import application

    listener = processes.listen(port, address)
    key = os.environ.get("LABKIT_ENDPOINT_KEY", "")
    upstream = upstreams.endpoint(endpoint, key) if endpoint else upstreams.ours()
    return http_server.start(application(upstream, **access), listener)


def gateway(argv: list[str]) -> int:
    """`labkit gateway`: start or join the gateway, or serve a class; print how to use it, stay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="labkit gateway",
        description="Answer for Inference Providers on this machine, with the course model or LABKIT_ENDPOINT.",
    )
    parser.add_argument("--port", type=int, default=0, help="use this port (default: any free one)")
    parser.add_argument("--lan", action="store_true", help="for a class: let the local network in, with a class token")
    parser.add_argument("--token", help=f"the class token (default: a new one; at least {_SHORTEST_TOKEN} characters)")
    options = parser.parse_args(argv)
    if options.token is not None and not options.lan:
        raise LabError("A class token is for --lan: leave out --token, or add --lan.")
    if options.lan:
        return _class(options.port, options.token)
    service = inference_gateway(port=options.port)
    what = NOT_A_PROVIDER.partition("; ")[2].capitalize()
    greeting = f"{service.url}/v1\nkey: {service.key}\n{what}. Ctrl-C ends this."
    return stay(service, greeting, called="gateway", ended="The gateway has ended: run `python lab.py gateway` again.")


def _class(port: int, token: str | None) -> int:
    """Serve the local network from this process, as long as it lives: a teacher sees it, and ends it."""
    token = token if token is not None else secrets.token_hex(6)
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise LabError(f"The class token needs at least {_SHORTEST_TOKEN} plain characters without spaces.")
    endpoint = _destination().get("endpoint")
    port = _serve(port, endpoint, address="0.0.0.0", key=token, class_token=True).rpartition(":")[2]
    greeting = f"""http://{_own_address()}:{port}
Everybody in this network who has the class token may use it. Learners set, before they start the course:
  LABKIT_ENDPOINT=http://{_own_address()}:{port}
  LABKIT_ENDPOINT_KEY={token}
Prompts travel unencrypted in this network. Ctrl-C ends this."""
    until_ctrl_c(greeting)
    print("\nThe gateway of the class has ended.", flush=True)
    return 0


def _own_address() -> str:
    """The address under which others in the network see this machine; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, which is nobody's
            return probe.getsockname()[0]
        except OSError:
            return socket.gethostname()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
