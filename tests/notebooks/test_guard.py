"""The network is closed in kernels and their children; loopback is open."""

from __future__ import annotations

from author.notebook_run import execute

REFUSED = """
import socket
def tried(call, *arguments):
    try:
        return call(*arguments)
    except OSError as problem:
        return type(problem).__name__
"""


def test_only_loopback_is_open(notebook):
    child = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    server = "http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)"
    report = execute(
        notebook(
            REFUSED,
            "print(tried(socket.socket().connect, ('192.0.2.1', 80)))",
            "print(tried(socket.socket().connect_ex, ('192.0.2.1', 80)))",
            "print(tried(socket.socket(socket.AF_INET6).connect, ('2001:db8::1', 80)))",
            "print(tried(socket.getaddrinfo, 'example.com', 80), tried(socket.gethostbyname, 'example.com'))",
            "print(tried(socket.socket(type=socket.SOCK_DGRAM).sendto, b'x', ('192.0.2.1', 53)))",
            "import urllib.request\nprint(tried(urllib.request.urlopen, 'https://example.com'))",
            f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {child!r}], stderr=-1).returncode)",
            f"import http.server, threading\nserver = {server}",
            "threading.Thread(target=server.serve_forever, daemon=True).start()",
            "print(urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}').status)",
            "print(urllib.request.urlopen(f'http://localhost:{server.server_port}').status)",
        )
    )
    assert report.stopped is None
    shown = [
        "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout") for cell in report.notebook.cells
    ]
    assert shown[1:4] == ["ConnectionRefusedError\n"] * 3
    assert shown[4] == "gaierror gaierror\n"
    assert shown[5] == "ConnectionRefusedError\n"
    assert shown[6] == "URLError\n"
    assert shown[7] == "1\n"
    assert shown[10:12] == ["200\n", "200\n"]


def test_the_environments_own_sitecustomize_still_runs(notebook, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = execute(notebook("import os; print(os.environ.get('SEEN'))"))
    assert report.notebook.cells[0].outputs[0].text == "yes\n"
