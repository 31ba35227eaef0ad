"""Counting connections, with real sockets and real processes; the listener, through the real client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from labkit.world import privacy

CHILD = """
import socket, sys, time
caller = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
time.sleep(60)
"""


def pair() -> tuple[socket.socket, socket.socket]:
    """A datagram socket connected to another: one connection, and nothing is sent."""
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    one.bind(("127.0.0.1", 0))
    other.connect(one.getsockname())
    return one, other


def test_a_connection_is_counted_and_loopback_is_told_apart():
    before = privacy.connections(loopback=True)
    one, other = pair()
    with one, other:
        (new,) = privacy.connections(loopback=True) - before
        assert (new.pid, new.address, new.port) == (os.getpid(), "127.0.0.1", one.getsockname()[1])
        assert new not in privacy.connections()


@pytest.mark.enable_socket
def test_a_connection_to_another_machine_is_counted():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        try:
            caller.connect(("203.0.113.1", 9))  # an address for documentation; a datagram socket sends nothing yet
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        assert ("203.0.113.1", 9) in {(each.address, each.port) for each in privacy.connections()}


@pytest.mark.enable_socket
def test_a_connection_to_an_own_address_stays_here():
    """A kernel that talks to its notebook server by the machine's own address sends nothing anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        try:
            caller.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        own = caller.getsockname()[0]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind((own, 0))
        two.connect(one.getsockname())
        place = (own, one.getsockname()[1])
        assert place in {(each.address, each.port) for each in privacy.connections(loopback=True)}
        assert place not in {(each.address, each.port) for each in privacy.connections()}


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("172.28.0.12", True),
        ("::ffff:172.28.0.12", True),
        ("fe80::1%eth0", True),
        ("172.28.0.13", False),
        ("192.168.0.1", False),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2001:db8::1", False),
    ],
)
def test_what_stays_on_this_machine(address, stays):
    assert privacy._stays_here(address, {"172.28.0.12", "fe80::1"}) is stays


def test_a_message_without_a_connection_is_not_seen():
    """The limit that lesson 02 tells of."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        one.bind(("127.0.0.1", 0))
        with privacy.watch(loopback=True) as seen:
            other.sendto(b"hello", one.getsockname())
        assert one.recv(5) == b"hello"
        assert other.getsockname()[1] not in {each.own_port for each in seen}


def test_children_are_counted():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(port)], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout.readline() == "connected\n"
            assert (child.pid, port) in {(each.pid, each.port) for each in privacy.connections(loopback=True)}
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def test_watch_collects_what_came_and_went():
    with privacy.watch(loopback=True) as seen:
        one, other = pair()
        port = one.getsockname()[1]
        import time

        time.sleep(0.2)
        one.close()
        other.close()
    assert port in {each.port for each in seen}
    assert port not in {each.port for each in privacy.connections(loopback=True)}


def test_the_listener_shows_what_the_librarys_client_sends():
    from huggingface_hub import InferenceClient

    with privacy.listen() as caught:
        client = InferenceClient(base_url=caught.url, api_key="not-a-real-key")
        reply = client.chat_completion([{"role": "user", "content": "my secret"}], max_tokens=7)
    assert "writes down" in reply.choices[0].message.content
    assert (caught.method, caught.path) == ("POST", "/v1/chat/completions")
    assert caught.body["messages"] == [{"role": "user", "content": "my secret"}] and caught.body["max_tokens"] == 7
    headers = {name.lower(): value for name, value in caught.headers.items()}
    assert headers["authorization"] == "Bearer not-a-real-key"


def test_a_client_without_a_key_sends_the_made_up_token(monkeypatch):
    from huggingface_hub import InferenceClient

    for own in ("hf_my_own", None):
        monkeypatch.setenv("HF_TOKEN", own) if own else monkeypatch.delenv("HF_TOKEN")
        with privacy.listen() as stranger, privacy.made_up_token():
            InferenceClient(base_url=stranger.url).chat_completion([{"role": "user", "content": "x"}], max_tokens=1)
        headers = {name.lower(): value for name, value in stranger.headers.items()}
        assert headers["authorization"] == "Bearer hf_made_up_for_a_stranger" and os.environ.get("HF_TOKEN") == own


def test_who_asks_the_listener_for_a_file_is_refused_written_down_and_seen():
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with privacy.listen() as hub, privacy.watch(loopback=True) as seen:
        for method in ("HEAD", "GET"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                opener.open(urllib.request.Request(f"{hub.url}/a/b/config.json", method=method))
    assert hub.asked == ["HEAD /a/b/config.json", "GET /a/b/config.json"] and "User-Agent" in hub.headers
    assert int(hub.url.rpartition(":")[2]) in {each.port for each in seen}


def test_the_listener_ends_and_survives_rubbish():
    import urllib.request

    with privacy.listen() as caught:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(urllib.request.Request(caught.url, b"\xff", method="POST")).status == 200
        assert caught.body is None
    with pytest.raises(OSError):
        opener.open(caught.url, timeout=2)
