"""The live pages as files, and the server of a room: no browser, and the registry only where nothing is kept."""

import base64
import hashlib
import json
import shutil
import subprocess

import pytest

from labkit.base import assets, cache
from labkit.base.errors import LabError

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)

from author.site import browser, served

WEB = assets.CHECKOUT / "web"


@pytest.fixture
def site(tmp_path):
    """A site with one page and one part of a model."""
    (tmp_path / "live/model").mkdir(parents=True)
    (tmp_path / "index.html").write_text("<p>welcome</p>" * 500, encoding="utf-8")
    (tmp_path / "live/model/part-0.bin").write_bytes(bytes(range(256)) * 40)
    return tmp_path


def test_a_room_gets_isolated_pages_small_and_the_model_in_ranges(site):
    from starlette.testclient import TestClient

    client = TestClient(served.application(site))
    page = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip" and page.text.startswith("<p>welcome")
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cross-origin-embedder-policy"] == "require-corp"
    part = client.get("/live/model/part-0.bin", headers={"Range": "bytes=256-259", "Accept-Encoding": "gzip"})
    assert part.status_code == 206 and part.content == bytes(range(4)) and "content-encoding" not in part.headers
    assert client.get("/live/nowhere.js").status_code == 404


def test_the_model_is_cut_into_parts_that_give_the_same_file(tmp_path, course_cache):
    from labkit.world import weights

    browser._model(tmp_path / "model")
    told = json.loads((tmp_path / "model/model.json").read_text(encoding="utf-8"))
    parts = [(tmp_path / "model" / part["name"]).read_bytes() for part in told["parts"]]
    assert b"".join(parts) == weights.gguf_file(quiet=True).read_bytes() and max(map(len, parts)) < 100_000_000
    for part, content in zip(told["parts"], parts, strict=True):
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])


def test_each_page_leads_to_all_pages_and_asks_nobody_else():
    template = (WEB / "page.html").read_text(encoding="utf-8")
    for page in browser.PAGES:
        made = browser._page(template, *page)
        assert all(f'href="{name}"' in made for name, *_ in browser.PAGES) and made.count("aria-current") == 1
        assert "http://" not in made and "https://" not in made and "@" not in made
        assert (WEB / "src" / page[3]).exists()


def test_only_the_library_that_the_lock_file_names_is_used(monkeypatch):
    """A kept file that was changed is fetched again, and what comes instead of it is thrown away."""
    import httpx2

    good, bad = b"the library", b"another one"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(good).digest()).decode()
    answers = [bad, good]

    def get(address, **_):
        return httpx2.Response(200, content=answers.pop(0), request=httpx2.Request("GET", address))

    monkeypatch.setattr(httpx2, "get", get)
    kept = cache.subfolder("npm") / "@a--b-1.0.tgz"
    kept.write_bytes(bad)
    with pytest.raises(LabError, match="thrown away"):
        browser._package("@a/b", "1.0", integrity)
    assert browser._package("@a/b", "1.0", integrity) == good == kept.read_bytes()
    assert browser._package("@a/b", "1.0", integrity) == good and not answers


def test_the_pages_own_tests():
    if shutil.which("node") is None:
        pytest.skip("no node here: install Node.js 20 or newer")
    run = subprocess.run(["node", "--test", "test/"], cwd=WEB, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout
