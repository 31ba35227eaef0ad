"""A service that costs nothing: a real process with a real socket, for tests of what surrounds any service.

Run with arguments it is that process; imported, it has the kind of that service.
"""

from __future__ import annotations

import argparse
import http.server
import secrets
import sys
import threading
import time

from labkit.world import services
from labkit.world.services.host import host


def command(mode: str = "good", flavour: str = "plain") -> list[str]:
    return [sys.executable, __file__, "--mode", mode, "--flavour", flavour]


DUMMY = services.Kind("dummy", command)


def serve(options: argparse.Namespace) -> None:
    key = secrets.token_urlsafe(24)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/health" or self.headers["Authorization"] == f"Bearer {key}"
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(options.flavour.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if options.mode == "slow":
        time.sleep(0.5)
    host(options.service, f"http://127.0.0.1:{server.server_port}", key, linger=options.linger)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode")
    parser.add_argument("--flavour")
    parser.add_argument("--service")
    parser.add_argument("--port", type=int)
    parser.add_argument("--linger", type=float)
    arguments = parser.parse_args()
    print("began", flush=True)
    if arguments.mode == "mends":
        sys.exit("labkit: The dummy wants its tea: bring some.")
    if arguments.mode == "breaks":
        raise RuntimeError("the dummy broke")
    if arguments.mode == "mute":
        time.sleep(600)
    serve(arguments)
