"""Closes the network, except loopback, in every Python that has this folder on its PYTHONPATH, and in its children.

It also notes each kind of request, refused ones too, as a line of JSON, [host, port, carries, outside], where `carries`
says whether the planted token was sent (`workspace.Workspace.requests` reads them).

Python imports `sitecustomize` at start-up, and children inherit the environment. It sees what goes through Python's
`socket` module, not what a C library does by itself. It cannot read TLS, but that needs a host outside, and the
connection to one is refused.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

_NOTES = os.environ.get("LABKIT_GUARD_NOTES")
_TOKEN = os.environ.get("LABKIT_GUARD_TOKEN", "").encode()

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
        if isinstance(address, tuple) and isinstance(address[0], str):
            _note(address[0], address[1])
            if not _is_local(address[0]):
                raise ConnectionRefusedError(f"the network is closed here: {address[0]} was refused")
    elif event in _RESOLVES and not _is_local(arguments[0]):
        import socket

        if arguments[0] != socket.gethostname():
            _note(arguments[0], arguments[1] if len(arguments) > 1 else None)
            raise socket.gaierror(socket.EAI_NONAME, f"the network is closed here: {arguments[0]} was not looked up")
    elif event == "socket.__new__" and not _watching and "socket" in sys.modules:
        _watch_what_is_sent(sys.modules["socket"].socket)


_noted: set[tuple] = set()
_watching: list[type] = []


def _note(host: object, port: object, carries: bool = False) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    one = (name, str(port), carries, not _is_local(name))
    if _NOTES and one not in _noted:
        import json

        _noted.add(one)
        with Path(_NOTES).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(one) + "\n")


def _note_carrying(sender, more: tuple) -> None:
    """`more` are the arguments after the data: with `sendto` the address is the last."""
    try:
        to = more[-1] if more and isinstance(more[-1], tuple) else sender.getpeername()
    except OSError:  # not connected, and the call will say so
        return
    if isinstance(to, tuple):  # the other end of a Unix socket is a path
        _note(to[0], to[1], carries=True)


def _watch_what_is_sent(kind: type) -> None:
    """Look for the token in all that is sent through a socket. Set up when the first socket is made."""

    def noting(own, in_pieces):
        def send(self, data, *more):
            data = list(data) if in_pieces else data  # asyncio gives an iterator
            if any(_TOKEN in bytes(piece) for piece in (data if in_pieces else [data])):
                _note_carrying(self, more)
            return own(self, data, *more)

        return send

    _watching.append(kind)
    for name in ("send", "sendall", "sendto", "sendmsg"):
        if _TOKEN and hasattr(kind, name):  # Windows has no sendmsg
            setattr(kind, name, noting(getattr(kind, name), name == "sendmsg"))


def _run_the_next_one() -> None:
    """The environment's own sitecustomize, which this file hides."""
    here = Path(__file__).resolve().parent
    others = [folder for folder in sys.path if folder and Path(folder).resolve() != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if found and found.loader:
        found.loader.exec_module(importlib.util.module_from_spec(found))


sys.addaudithook(_audit)
_run_the_next_one()
