"""The local Hub met with bad requests, half requests and many clients: it refuses, serves on, shows nothing else."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_helpers import ANYTHING, serving

from labkit.world import weights
from labkit.world.hub import api as hub_api
from labkit.world.hub import repos as hub_repos
from labkit.world.hub import scratch, upload

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOKEN = "hf_course_learner"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def address(_cache_with_model, root):
    (root / "secret.txt").write_text("nobody should read this", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_CACHE", str(_cache_with_model))
        repos = hub_repos.repositories(weights.ensure(quiet=True))
    with serving(hub_api.application(repos, scratch.Scratch(root / "scratch"))) as url:
        HfApi(endpoint=url, token=TOKEN).create_repo("learner/own", exist_ok=True)
        yield url


def send(address: str, raw: bytes) -> bytes:
    """What comes back for these very bytes, until the connection closes."""
    host, _, port = address.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            connection.sendall(raw)
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            raise
        except OSError:  # reset, or "not connected" any more: the server closed on what it refuses to read
            pass
    return answer


def get(address: str, target: str, *more: str) -> tuple[int, bytes]:
    raw = "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *more, "", ""]).encode()
    answer = send(address, raw)
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer


def alive(address: str) -> bool:
    return HfApi(endpoint=address, token=TOKEN).model_info(MODEL).id == MODEL


PLACES = [
    "../secret.txt",
    "..%2f..%2fsecret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "....//secret.txt",
    "..%5c..%5csecret.txt",
    "%00",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "C:%5cWindows%5cwin.ini",
    "README.md/../../../../secret.txt",
    "objects/x",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("repo", [MODEL, "learner/own", "datasets/course-examples/classroom-notes"])
def test_nothing_outside_a_repository_can_be_read(address, repo, place):
    status, answer = get(address, f"/{repo}/resolve/main/{place}", f"Authorization: Bearer {TOKEN}")
    assert status in (400, 404) and b"nobody should read" not in answer and b"root:" not in answer


@pytest.mark.parametrize("name", ["..%2f..", "a%00b", "a--b", "%2e%2e", "x" * 5000, "ä", "own%2f..%2f..%2frepos"])
def test_names_that_are_no_names(address, name):
    for target in (
        f"/api/models/learner/{name}",
        f"/api/models/{name}/own",
        f"/api/models/learner/own/revision/{name}",
    ):
        assert get(address, target, f"Authorization: Bearer {TOKEN}")[0] in (400, 404, 405)


def test_headers_and_bodies_that_are_too_large(address):
    # 0: the connection was closed on the unread rest, before the refusal could be read.
    assert get(address, "/api/models", "X-Long: " + "x" * 200_000)[0] in (400, 431, 0)
    body = b"{" + b" " * (upload.MOST_JSON + 10) + b"}"
    head = f"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}"
    head += f"\r\nContent-Length: {len(body)}"
    answer = send(address, f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert alive(address)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": 3}', b'{"name": "../x"}']
)
def test_bodies_that_make_no_sense(address, body):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    for target in (
        "/api/repos/create",
        "/api/models/learner/own/commit/main",
        "/api/models/learner/own/preupload/main",
    ):
        connection.request("POST", target, body, {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        answer.read()
        if target.endswith("preupload/main") and body == b'{"name": 3}':
            continue  # an order of no files
        assert answer.status == 400 or (answer.status == 200 and b"name" in body), (target, answer.status)
    assert alive(address)


@pytest.mark.parametrize(
    "header", ["Host: evil.example", "Host: 127.0.0.1.evil.example", "Origin: http://evil.example"]
)
def test_a_web_page_cannot_use_the_public_tokens(address, header):
    """DNS rebinding: the page's own name resolves to 127.0.0.1, so that the browser asks the Hub in its name."""
    host = "" if header.startswith("Host") else "Host: 127.0.0.1\r\n"
    request = f"GET /api/whoami-v2 HTTP/1.1\r\n{host}{header}\r\nAuthorization: Bearer {TOKEN}\r\n"
    assert send(address, f"{request}Connection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 403")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_nobody_else_on_the_machine_reads_what_is_kept(address, root):
    assert (root / "scratch").stat().st_mode & 0o077 == 0


WRONG_TYPES = [
    ("/api/repos/create", {"name": "ab", "private": "x"}, "private must be true or false"),
    ("/api/repos/create", {"name": "ab", "organization": True}, "organization must be a text"),
    ("/api/repos/create", {"name": "ab", "type": ["model"]}, "type must be a text"),
    ("/api/models/learner/own/preupload/main", {"files": "README.md"}, "files must be a list of JSON objects"),
    ("/api/models/learner/own/preupload/main", {"files": [{"path": "a", "size": "big"}]}, "size must be"),
    ("/learner/own.git/info/lfs/objects/batch", {"operation": "upload", "objects": "README.md"}, "objects must be"),
    ("/api/models/learner/own/branch/x", {"startingPoint": ["main"]}, "startingPoint must be a text"),
    ("/api/models/learner/own/tag/main", {"tag": 3}, "tag must be a text"),
    ("/api/models/learner/own/settings", {"gated": "sometimes"}, "gated must be auto, manual or false"),
    ("/api/validate-yaml", {"content": 3}, "content must be a text"),
    ("/api/models/learner/own/commit/main", {"key": "header", "value": {"summary": ["x"]}}, "summary must be a text"),
    ("/api/models/learner/own/commit/main", {"key": "deletedFile", "value": {"path": "\ud800"}}, "value has what JSON"),
]


def say(address: str, path: str, body: object) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    method = "PUT" if path.endswith("/settings") else "POST"
    connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize(("path", "body", "sentence"), WRONG_TYPES)
def test_a_value_of_another_type_is_refused_with_its_name(address, path, body, sentence):
    status, said = say(address, path, body)
    assert status == 400 and json.loads(said)["error"].startswith(sentence)


names = ["name", "private", "files", "objects", "operation", "startingPoint", "tag", "gated", "content", "key", "value"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.sampled_from([path for path, _, _ in WRONG_TYPES]), st.dictionaries(st.sampled_from(names), ANYTHING))
def test_no_body_breaks_the_hub(address, path, body):
    status, said = say(address, path, body)
    assert status < 500, said


@pytest.mark.parametrize(
    "line",
    [
        b'{"key": "file", "value": {"path": "a.txt", "content": "***", "encoding": "base64"}}',
        b'{"key": "lfsFile", "value": {"path": "a.bin", "oid": "../../secret.txt", "size": 3}}',
        b'{"key": "lfsFile", "value": {"path": "a.bin", "oid": "' + b"0" * 64 + b'", "size": 3}}',
        b'{"key": "unknown", "value": {"path": "a.txt"}}',
        b'{"key": "file", "value": 3}',
        b"not json",
    ],
)
def test_commits_that_make_no_sense_change_nothing(address, line):
    api = HfApi(endpoint=address, token=TOKEN)
    before = api.model_info("learner/own").sha
    body = b'{"key": "header", "value": {"summary": "s"}}\n' + line
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.request("POST", "/api/models/learner/own/commit/main", body, {"Authorization": f"Bearer {TOKEN}"})
    assert connection.getresponse().status == 400
    assert api.model_info("learner/own").sha == before


@pytest.mark.parametrize(
    "wanted", ["bytes=5-2", "bytes=-", "bytes=99999999999-", "lines=1-2", "bytes=" + "9" * 5000, "bytes=a-b"]
)
def test_ranges_that_cannot_be(address, wanted):
    assert get(address, f"/{MODEL}/resolve/main/config.json", f"Range: {wanted}")[0] in (400, 416)
    weights = "/mistralai/Mixtral-8x7B-v0.1/resolve/main/model-00001-of-00010.safetensors"
    assert get(address, weights, f"Range: {wanted}")[0] == 403


def test_an_upload_that_stops_in_its_middle_leaves_nothing(address, root):
    content = b"x" * 1000
    oid = hashlib.sha256(content).hexdigest()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    body = f'{{"operation": "upload", "objects": [{{"oid": "{oid}", "size": 1000}}]}}'
    connection.request("POST", "/learner/own.git/info/lfs/objects/batch", body, {"Authorization": f"Bearer {TOKEN}"})
    href = json.load(connection.getresponse())["objects"][0]["actions"]["upload"]["href"]
    target = href.removeprefix(address)
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(
            f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n".encode() + content[:500]
        )
        time.sleep(0.3)
    deadline = time.monotonic() + 10
    while list((root / "scratch" / "objects").glob(".upload-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list((root / "scratch" / "objects").glob(".upload-*"))
    assert not (root / "scratch" / "objects" / oid).exists() and alive(address)


def test_thirty_clients_at_once_get_the_right_bytes(address, tmp_path):
    api = HfApi(endpoint=address, token=TOKEN)
    contents = {f"file-{number}.txt": os.urandom(50_000 + number) for number in range(6)}
    for path, content in contents.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id="learner/own")

    def client(number: int) -> bool:
        path = f"file-{number % 6}.txt"
        options = {"endpoint": address, "token": TOKEN, "cache_dir": tmp_path / str(number)}
        return Path(hf_hub_download("learner/own", path, **options)).read_bytes() == contents[path]

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        assert all(pool.map(client, range(30)))


# --- the command line of the client


def test_the_hf_command_finds_downloads_and_uploads(address, tmp_path):
    pytest.importorskip("huggingface_hub.cli")
    environment = {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home")}
    environment |= {
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "300",
    }
    hf = Path(sys.executable).with_name("hf.exe" if os.name == "nt" else "hf")

    def run(*words: str) -> str:
        done = subprocess.run(
            [hf, *words], capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    assert "learner" in run("auth", "whoami")
    assert MODEL in run("models", "ls", "--search", "135M-Instruct")
    assert "apache-2.0" in run("models", "info", MODEL)
    assert Path(run("download", MODEL, "config.json").strip().splitlines()[-1].removeprefix("path: ")).name
    assert "SmolLM2-135M-Instruct" in run("cache", "ls")
    note = tmp_path / "note.txt"
    note.write_text("from the command line", encoding="utf-8")
    run("upload", "learner/by-hand", str(note), "note.txt")
    assert "note.txt" in HfApi(endpoint=address, token=TOKEN).list_repo_files("learner/by-hand")
