"""The cells of lessons in the live world, run as they are, and every request, noted before it is encrypted.

`python lesson_requests.py 04` prints a JSON object: the requests as (scheme, host, whether it carries a secret of the
learner), and the cells that ended in an exception. The Hub and the router are stood in for by the course's own, behind
the note: what the client meant to send is what is judged.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import socket
import sys
from typing import Any

import httpx
import httpx2
import nbformat

SECRET = "REAL"  # in every secret that the test plants, and in nothing else
REAL_HOSTS = ("huggingface.co", "router.huggingface.co")
requests: list[tuple[str, str, bool]] = []


def note(request: Any) -> None:
    """Note where a request goes and whether it carries a secret, in its address, its headers or its body."""
    with contextlib.suppress(httpx.RequestNotRead, httpx2.RequestNotRead):
        everything = f"{request.url} {list(request.headers.raw)} {request.content!r}"
        requests.append((request.url.scheme, request.url.host, SECRET in everything))


def watch_transports(stand_in: Any) -> None:
    """Note what the HTTP clients of all libraries hand on; `stand_in(request)` leads it elsewhere after that."""

    def noting(own: Any) -> Any:
        def handle(self: Any, request: Any) -> Any:
            note(request)
            stand_in(request)
            return own(self, request)

        return handle

    for library in (httpx, httpx2):
        for kind, name in (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request")):
            transport = getattr(library, kind)
            setattr(transport, name, noting(getattr(transport, name)))


def watch_sockets() -> None:
    """Note plain text that leaves by any other way, such as urllib."""

    def noting(own: Any) -> Any:
        def send(self: Any, data: Any, *flags: Any) -> Any:
            if self.family != getattr(socket, "AF_UNIX", None) and SECRET.encode() in bytes(data):
                requests.append(("socket", self.getpeername()[0], True))
            return own(self, data, *flags)

        return send

    for name in ("send", "sendall"):
        setattr(socket.socket, name, noting(getattr(socket.socket, name)))


def real_services() -> Any:
    """The course's Hub and gateway in the place of the real ones, asked with the course's own token."""
    from labkit.base import network
    from labkit.world.gateway.service import inference_gateway
    from labkit.world.hub.service import local_hub

    network.trouble = lambda *_: ""
    services = dict(zip(REAL_HOSTS, (local_hub(), inference_gateway()), strict=True))

    def stand_in(request: Any) -> None:
        service = services.get(request.url.host)
        if service is not None:
            host, port = service.url.removeprefix("http://").split(":")
            request.url = request.url.copy_with(scheme="http", host=host, port=int(port))
            request.headers.update({"host": f"{host}:{port}", "authorization": "Bearer hf_course_learner"})
            request.headers["x-labkit-key"] = service.key

    return stand_in


def run(lesson: str) -> list[tuple[str, str]]:
    """Run all code cells; the first line and the exception of those that ended in one."""
    from labkit.base import assets

    (file,) = assets.notebook_dir().glob(f"{lesson}_*.ipynb")
    space: dict[str, Any] = {"display": lambda *_: None}
    failed = []
    for cell in nbformat.read(file, 4).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source.replace("    %pip install", "    pass  #")  # for Colab only
        code = compile(source, cell.id, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        try:
            result = eval(code, space)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception as problem:
            failed.append((source.splitlines()[-1], f"{type(problem).__name__}: {problem}"))
    return failed


if __name__ == "__main__":
    os.environ["LABKIT_MODE"] = "live"
    watch_sockets()
    watch_transports(real_services())
    with contextlib.redirect_stdout(io.StringIO()):
        failed = [one for lesson in sys.argv[1:] for one in run(lesson)]
    print(json.dumps({"requests": sorted(set(requests)), "failed": failed}), flush=True)
    # Python 3.13.0 can crash at its end, while it collects streams that were read in part (seen 2026-11-25).
    os._exit(0)
