"""What the local Hub costs: a large file against a plain static file server, and a search over 200 repositories."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

from labkit.base import processes
from labkit.front.bench import Section, interleaved, ratio

_CHUNK = 1 << 20
_REPOSITORIES = 200
_SEARCHES = {
    "all, with their facts": "/api/models?full=true&cardData=true&limit=1000",
    "by licence and size": "/api/models?filter=license:apache-2.0&num_parameters=min:0.1B,max:8B&limit=100",
    "by a word": "/api/models?search=model-1&limit=100",
}


def run(quick: bool) -> Section:
    """MB/s of the course model's weights through the Hub and through Starlette's own FileResponse; ms a search."""
    from labkit.world import weights
    from labkit.world.hub.service import TOKEN, local_hub

    file = weights.ensure(quiet=True) / "model.safetensors"
    hub = local_hub()
    path = "/HuggingFaceTB/SmolLM2-135M-Instruct/resolve/main/model.safetensors"
    plain, many = _start(_PLAIN, str(file)), _start(_MANY, str(_REPOSITORIES))
    try:
        pairs = 3 if quick else 10
        ways = [
            lambda: _mb_per_s(hub.url, path, file.stat().st_size, TOKEN),
            lambda: _mb_per_s(plain[1], "/", file.stat().st_size),
        ]
        for way in ways:
            way()  # the first reading fills the system's file cache
        ours, theirs = interleaved(pairs, *ways)
        rows = [
            {"what": "large file, MB/s", "hub": statistics.median(ours), "plain": statistics.median(theirs), "aim": ""}
        ]
        for name, target in _SEARCHES.items():
            times = [_ms(many[1], target) for _ in range(pairs * 5 + 1)][1:]
            rows.append({"what": f"search, ms: {name}", "hub": statistics.median(times), "plain": "", "aim": "50"})
    finally:
        for process, _ in (plain, many):
            process.kill()
            process.wait()
    protocol = (
        f"{file.stat().st_size / 1e6:.0f} MB, {pairs} pairs, each server in a process of its own, read to nowhere; "
        f"{pairs * 5} searches of each kind over {_REPOSITORIES} repositories; a connection each; medians"
    )
    return Section("hub", protocol, rows, [ratio("large file, Hub to plain server", ours, theirs, "0.8")])


# Both print their port first. The plain server is the same HTTP stack with nothing of ours in between.
_PLAIN = """
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

async def file(request):
    return FileResponse(sys.argv[1])

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/", file)])
uvicorn.Server(uvicorn.Config(app, log_level="critical", http="h11")).run(sockets=[listener])
"""
_MANY = """
import socket, sys, tempfile
from dataclasses import replace
from pathlib import Path
from labkit.world.hub import api, repos, scratch, service

found = [repo for repo in repos.repositories().values() if repo.kind == "model"]
made = {}
for number in range(int(sys.argv[1])):
    repo = replace(found[number % len(found)], id=f"made-for-measuring/model-{number}")
    made[repo.key] = repo
listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(listener.getsockname()[1], flush=True)
with tempfile.TemporaryDirectory() as place:
    service.server(api.application(made, scratch.Scratch(Path(place)))).run(sockets=[listener])
"""


def _start(program: str, argument: str) -> tuple[subprocess.Popen, str]:
    """A server in a process of its own, and its URL."""
    command = [sys.executable, "-c", program, argument]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=processes.child_environment())
    port = int(process.stdout.readline())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    return process, f"http://127.0.0.1:{port}"


def _get(url: str, target: str, token: str = "") -> tuple[http.client.HTTPConnection, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=300)
    connection.request("GET", target, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{target} was answered with {answer.status}")
    return connection, answer


def _mb_per_s(url: str, target: str, size: int, token: str = "") -> float:
    began, read = time.perf_counter(), 0
    connection, answer = _get(url, target, token)
    buffer = bytearray(_CHUNK)
    while got := answer.readinto(buffer):
        read += got
    connection.close()
    if read != size:
        raise RuntimeError(f"{read:,} bytes came, and not {size:,}")
    return size / 1e6 / (time.perf_counter() - began)


def _ms(url: str, target: str) -> float:
    began = time.perf_counter()
    connection, answer = _get(url, target)
    json.load(answer)
    connection.close()
    return (time.perf_counter() - began) * 1000
