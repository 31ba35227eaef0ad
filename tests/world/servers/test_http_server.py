"""Clients that keep the HTTP server of the Hub and the gateway waiting. Every socket here is real."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from service_helpers import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from labkit.world.gateway import service as gateway
from labkit.world.services import http_server

WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"
LARGE = 32_000_000  # more than the buffers of a connection hold


async def echo(request: Request) -> Response:
    return PlainTextResponse((await request.body()) or b"ok")


async def large(request: Request) -> Response:
    return Response(b"x" * LARGE)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), Route("/large", large)])
    with serving(app, patience=1.0, most_silent=20) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=20)


def answers(address: tuple[str, int], path: bytes = b"/") -> bool:
    with connect(address) as connection:
        connection.sendall(WHOLE.replace(b"/", path, 1))
        return connection.recv(1000).startswith(b"HTTP/1.1 200")


def closed(connection: socket.socket) -> bool:
    """Whether the server hangs up; one that waits for ever would end this by the time limit."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(100_000):
            pass
    return True


def test_half_a_request_is_not_waited_for(address):
    waiting = [connect(address) for _ in range(10)]
    for connection in waiting:
        connection.sendall(WHOLE[:-2])
    assert answers(address)
    assert all(map(closed, waiting))


@pytest.mark.parametrize("then", [WHOLE[:-2], POST + b"half"], ids=["head", "body"])
def test_half_of_a_later_request_is_not_waited_for(address, then):
    with connect(address) as connection:
        connection.sendall(WHOLE)
        while not connection.recv(1000).endswith(b"ok"):
            pass
        connection.sendall(then)
        assert closed(connection)
    assert answers(address)


def test_a_body_that_keeps_coming_is_waited_for(address):
    """Slow is not silent: this one takes twice as long as the server waits for a word."""
    with connect(address) as connection:
        connection.sendall(POST)
        for _ in range(4):
            time.sleep(0.5)
            connection.sendall(b"12345")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_not_waited_for(address):
    with connect(address) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(2.5)
        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1_000_000):
                received += len(piece)
        assert received < LARGE


def test_a_head_has_an_end(address):
    with connect(address) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(WHOLE[:-2] + b"X: " + b"x" * 200_000)
        assert closed(connection)
    assert answers(address)


def test_many_silent_connections_keep_nobody_out(address):
    silent = [connect(address) for _ in range(30)]
    assert answers(address)
    assert closed(silent[0])
    for connection in silent:
        connection.close()


def test_the_gateway_stands_behind_these_limits():
    """It is what a whole network can reach."""
    url = gateway._serve(0, "http://127.0.0.1:9", key="class-token", class_token=True)
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    first = connect(address)
    silent = [connect(address) for _ in range(http_server.MOST_SILENT + 1)]
    assert closed(first) and answers(address, b"/health")
    for connection in silent:
        connection.close()
