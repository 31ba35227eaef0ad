"""The built website on this machine, as a room needs it: isolated pages (all cores for the model), ranges, compression.

Knows headers and files. Knows nothing of what the pages show.
"""

from __future__ import annotations

import threading
import webbrowser
from pathlib import Path
from typing import Any

from labkit.base import processes
from labkit.world.services import terminal

# Browsers let a page use threads only where nothing foreign can be in it.
_ISOLATED = [
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
]


def application(folder: Path) -> Any:
    """The site as an ASGI application. The model's parts go as they are: they do not get smaller."""
    from starlette.applications import Starlette
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    routes = [Mount("/", GZipMiddleware(StaticFiles(directory=folder, html=True), minimum_size=1000))]
    if (folder / "live" / "model").is_dir():
        routes.insert(0, Mount("/live/model", StaticFiles(directory=folder / "live" / "model")))
    app = Starlette(routes=routes)

    async def isolated(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ISOLATED]
            await send(message)

        await app(scope, receive, sent)

    return isolated


def serve(folder: Path, port: int = 0, *, show: bool = False) -> int:
    """Serve until Ctrl-C; `port` 0 is any free one. LabError when the port cannot be had."""
    import uvicorn

    listener = processes.listen(port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server = uvicorn.Server(uvicorn.Config(application(folder), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    if show:
        webbrowser.open(address)
    terminal.until_ctrl_c(f"The website is at {address}; Ctrl-C here ends it.", thread.is_alive)
    server.should_exit = True
    thread.join(5)
    print("\nThe website is no longer served.", flush=True)
    return 0
