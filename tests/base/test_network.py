"""Whether a host answers, with real sockets on this machine; only the port is another one, since 443 is not ours."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from labkit.base import network


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What was asked for; each question goes to a port of this machine, given as `asked.port`, or hangs without one."""
    network.answers.cache_clear()
    real, places = socket.create_connection, Places()

    def connect(address, timeout):
        places.append(address)
        if places.port is None:
            time.sleep(5 * timeout)
        return real(("127.0.0.1", places.port or 9), timeout=timeout)

    monkeypatch.setattr(network.socket, "create_connection", connect)
    yield places
    network.answers.cache_clear()


class Places(list):
    port: int | None = None


def test_a_host_that_answers_is_asked_once_a_process(asked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked.port = server.getsockname()[1]
        assert network.answers("hub.example") is True
    assert network.answers("hub.example") is True, "the first answer is kept"
    assert asked == [("hub.example", 443)]
    assert network.answers("other.example") is False
    assert asked[1:] == [("other.example", 443)]


def test_a_host_that_refuses_does_not_answer(asked):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        asked.port = closed.getsockname()[1]
    assert network.answers("hub.example") is False


def test_a_network_that_hangs_is_left_in_time(asked):
    before, began = set(threading.enumerate()), time.monotonic()
    assert network.answers("hub.example", 0.2) is False
    assert 0.1 < time.monotonic() - began < 0.9 and asked
    waiting = set(threading.enumerate()) - before
    assert [thread.daemon for thread in waiting] == [True], "a process that ends does not wait for it"
