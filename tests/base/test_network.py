"""Whether a site answers, and why not: real servers and proxies on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from labkit.base import network


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Nothing remembered of earlier questions, and no proxies but a test's own."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.delenv(spelling, raising=False)
    monkeypatch.setattr(network, "_unusable", {})
    network.trouble.cache_clear()
    yield
    network.trouble.cache_clear()


@contextlib.contextmanager
def server(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says `answer` to everybody, or nothing at all; its address, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    asked.append(connection.recv(1000))
                    if answer is not None:
                        connection.sendall(answer)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked


def test_a_site_that_answers_is_asked_once_a_process():
    with server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as (address, asked):
        assert network.trouble(f"http://{address}") == "", "any status is an answer"
        assert network.trouble(f"http://{address}") == "" and len(asked) == 1


def test_a_site_that_refuses_does_not_answer():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    assert network.trouble(f"http://127.0.0.1:{port}") == "does not answer"


def test_a_network_that_hangs_is_left_in_time():
    before, began = set(threading.enumerate()), time.monotonic()
    with server(None) as (address, asked):
        assert network.trouble(f"http://{address}", 0.3) == "does not answer"
        assert 0.2 < time.monotonic() - began < 5 and asked
    waiting = set(threading.enumerate()) - before
    assert all(thread.daemon for thread in waiting), "a process that ends does not wait for it"


def test_the_way_through_a_proxy_counts_and_a_proxy_that_refuses_is_told(monkeypatch):
    with server(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        assert "the proxy refuses (407" in network.trouble("https://hub.invalid")
        assert asked[0].startswith(b"CONNECT hub.invalid:443 ")


def test_a_certificate_that_is_not_trusted_names_the_setting(tmp_path):
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=school", "-days", "2"]
        + ["-keyout", key, "-out", certificate],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        assert "set SSL_CERT_FILE" in network.trouble(f"https://127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("address", ["socks5h://127.0.0.1:9", "socks5://127.0.0.1:9", "socks://127.0.0.1:9"])
def test_a_proxy_that_no_client_can_use_stops_none_and_is_named_when_it_is_needed(address):
    """The clients of the Hub and of OpenAI raise when they are made: without socksio, and over an unknown kind."""
    program = """
import sys
sys.modules["socksio"] = None  # as where it is not installed
from labkit.base import network
network.importlib.util.find_spec = lambda name: None
network.leave_unusable_proxies()
import httpx2
httpx2.Client()
print(network.trouble("http://127.0.0.1:9"))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "ALL_PROXY": address}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "in ALL_PROXY" in run.stdout and ("pip install socksio" in run.stdout or "socks5h://" in run.stdout)


def test_a_proxy_that_can_be_used_stays(monkeypatch):
    for name, address in {"HTTPS_PROXY": "proxy.school.example:3128", "ALL_PROXY": "http://10.0.0.1:3128"}.items():
        monkeypatch.setenv(name, address)
        network.leave_unusable_proxies()
        assert os.environ[name] == address
