"""The HTTP server that the Hub and the gateway run on: uvicorn, with limits to what a client can make it wait for.

Knows connections. Knows nothing of what is asked.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uvicorn

PATIENCE_S = 30.0
MOST_SILENT = 128
_LARGEST_HEAD = 64 * 1024  # bytes


def server(app: Any, *, patience: float = PATIENCE_S, most_silent: int = MOST_SILENT) -> uvicorn.Server:
    """uvicorn, which by itself waits for ever, on a first request and on all that follow on the same connection.

    A connection is closed when the head of a request takes more than `patience` seconds in all, when a body pauses for
    so long, or when its client leaves an answer unread for so long. Of the connections that keep us waiting for a
    request at most `most_silent` stay open: when one more comes, the one that has been silent longest is closed.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.since = self.loop.time()
            self.watch()
            silent = [one for one in self.connections if one.is_silent()]
            if len(silent) > most_silent:
                min(silent, key=lambda one: one.since).transport.close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:  # a head is there, or more of a body
                self.since = self.loop.time()

        def on_response_complete(self) -> None:
            self.since = self.loop.time()
            super().on_response_complete()

        def pause_writing(self) -> None:
            self.since = self.loop.time()
            super().pause_writing()

        def is_silent(self) -> bool:
            return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

        def watch(self) -> None:
            if self.transport.is_closing():
                return
            unread = self.flow.write_paused
            left = patience - (self.loop.time() - self.since) if unread or self.is_silent() else patience
            if left > 0:
                self.loop.call_later(left, self.watch)
            elif unread:
                self.transport.abort()  # close() would wait for what is unread
            else:
                self.transport.close()

    # No WebSocket: whoever speaks that would pass by all that looks at requests.
    limits = {"h11_max_incomplete_event_size": _LARGEST_HEAD, "lifespan": "off", "ws": "none"}
    return uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, http=Impatient, **limits))


def start(app: Any, listener: socket.socket) -> str:
    """Serve in a thread, as long as the process lives; the URL."""
    threading.Thread(target=server(app).run, kwargs={"sockets": [listener]}, daemon=True).start()
    return "http://{}:{}".format(*listener.getsockname())
