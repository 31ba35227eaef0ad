"""Who does this program talk to, and what would it say? Connections as the system counts them, and a listener.

Knows sockets and processes. Knows nothing of models.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_EVERY_S = 0.01  # how often `watch` looks; a connection that opens and closes in between is missed


@dataclass(frozen=True)
class Connection:
    """One end of a connection: the process that holds it, and the address and port at the other end."""

    pid: int
    own_port: int
    address: str
    port: int


def connections(*, loopback: bool = False) -> set[Connection]:
    """What this process and all its children are connected to now, TCP and UDP, as the operating system tells it.

    Other machines only, unless `loopback`: then also connections that stay on this one. A kernel talks to its notebook
    server in such a way; on Colab, by the machine's own address and not by 127.0.0.1.
    """
    import psutil

    this, found, own = psutil.Process(), set(), _own_addresses()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            # psutil 5.9, which Colab has, knows it by its older name.
            ask = process.net_connections if hasattr(process, "net_connections") else process.connections
            for each in ask(kind="inet"):
                if each.raddr and (loopback or not _stays_here(each.raddr.ip, own)):
                    found.add(Connection(process.pid, each.laddr.port, each.raddr.ip, each.raddr.port))
    return found


def _own_addresses() -> set[str]:
    """The addresses of this machine's own network interfaces."""
    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    each = (one for interface in psutil.net_if_addrs().values() for one in interface if one.family in families)
    return {one.address.split("%")[0] for one in each}


def _stays_here(address: str, own: set[str]) -> bool:
    """Whether a connection to this address never leaves the machine. IPv4 may be written as IPv6: ::ffff:127.0.0.1."""
    plain = ipaddress.ip_address(address.split("%")[0])
    plain = getattr(plain, "ipv4_mapped", None) or plain
    return plain.is_loopback or str(plain) in own


@contextlib.contextmanager
def watch(*, loopback: bool = False) -> Iterator[set[Connection]]:
    """Collect every connection seen while the block runs, looking a hundred times a second: `with watch() as seen:`."""
    seen: set[Connection] = set()
    done = threading.Event()

    def look() -> None:
        while True:
            seen.update(connections(loopback=loopback))
            if done.wait(_EVERY_S):
                return

    thread = threading.Thread(target=look, name="labkit-watch", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        seen.update(connections(loopback=loopback))


@contextlib.contextmanager
def made_up_token() -> Iterator[None]:
    """While the block runs, HF_TOKEN is an invented one: what a client sends by itself cannot be the learner's own."""
    before = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = "hf_made_up_for_a_stranger"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_TOKEN"]
        else:
            os.environ["HF_TOKEN"] = before


@dataclass
class Caught:
    """What a listener wrote down: `url` is where it listens, `asked` has every request as "METHOD /path"; the rest is
    the last request."""

    url: str
    asked: list[str] = field(default_factory=list)
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@contextlib.contextmanager
def listen() -> Iterator[Caught]:
    """Stand in for a provider or the Hub on this machine, and write down what is sent: `with listen() as caught:`.

    Speaks just enough of the OpenAI protocol for a chat call to succeed, and has no file that anybody asks for; it
    takes a tenth of a second to say so, in which `watch` sees who asks. Nothing leaves the machine.
    """
    answer = {"role": "assistant", "content": "This listener writes down what it is sent, and knows no answer."}
    reply = {"object": "chat.completion", "model": "listener", "id": "1", "created": 0}
    reply |= {"choices": [{"index": 0, "message": answer, "finish_reason": "stop"}], "usage": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.write_down()
            time.sleep(0.1)
            self.send_error(404)

        do_HEAD = do_GET

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.write_down()
            with contextlib.suppress(ValueError):
                caught.body = json.loads(raw)
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def write_down(self) -> None:
            caught.method, caught.path, caught.headers = self.command, self.path, dict(self.headers)
            caught.asked.append(f"{self.command} {self.path}")

        def log_message(self, *_: Any) -> None:
            """Nothing: the learner sees what was caught, not a server's log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        caught = Caught(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield caught
        finally:
            server.shutdown()
