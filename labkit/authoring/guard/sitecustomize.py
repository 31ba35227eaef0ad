"""Closes the network in this Python and its child processes; loopback stays open. Active by being on PYTHONPATH.

Python imports `sitecustomize` at start-up, and children inherit the environment. Refuses what Python code asks of its
`socket` module; a C library that opens sockets by itself is not seen.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_LOCAL_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost", "0.0.0.0", "::", "::1"}
_CONNECTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_RESOLVES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def _is_local(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name is None or not isinstance(name, str):
        return name is None
    name = name.lower().split("%")[0]
    return name in _LOCAL_NAMES or (name.startswith("127.") and name.replace(".", "").isdigit())


def _audit(event: str, arguments: tuple) -> None:
    if event in _CONNECTS:
        address = arguments[1]
        # An internet address is a tuple that begins with a host; a Unix socket's is a path, sendmsg's may be None.
        if isinstance(address, tuple) and isinstance(address[0], str) and not _is_local(address[0]):
            raise ConnectionRefusedError(f"the network is closed here: {address[0]} was refused")
    elif event in _RESOLVES and not _is_local(arguments[0]):
        import socket

        if arguments[0] != socket.gethostname():
            raise socket.gaierror(socket.EAI_NONAME, f"the network is closed here: {arguments[0]} was not looked up")


def _run_the_next_one() -> None:
    """The environment's own sitecustomize, which this file hides."""
    here = Path(__file__).resolve().parent
    others = [folder for folder in sys.path if folder and Path(folder).resolve() != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if found and found.loader:
        found.loader.exec_module(importlib.util.module_from_spec(found))


sys.addaudithook(_audit)
_run_the_next_one()
