"""The live pages: the course's model in the reader's own browser, from files of the site alone.

What runs there is in web/: plain modules, on two libraries whose exact files web/package-lock.json names. Here they are
fetched (checked, and kept in the course cache), the model is cut into parts that any web host takes, and the pages are
put together. Knows no JavaScript.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.base import assets, cache
from labkit.base.errors import LabError
from labkit.facts import catalogue, memory, tokens
from labkit.world import weights

PART_BYTES = 12_500_000  # an interrupted download loses no more; and GitHub Pages takes no file above 100 MB
_REGISTRY = "https://registry.npmjs.org"
# Package, the file of it that pages load, and the name that they load it by.
_VENDOR = (
    ("@wllama/wllama", "esm/index.min.js", "wllama.js"),
    ("@wllama/wllama", "esm/wasm/wllama.wasm", "wllama.wasm"),
    ("@huggingface/tokenizers", "dist/tokenizers.min.mjs", "tokenizers.js"),
)
# File, title, what the page is for, script.
PAGES = (
    ("index.html", "Chat", "Talk to an open model. It runs here, in this page, on your own machine.", "chat.js"),
    ("tokens.html", "Token explorer", "A text as the model sees it: pieces, each with a number.", "token_explorer.js"),
    (
        "sampling.html",
        "Sampling playground",
        "What may come next, and what the settings leave of it.",
        "sampling_playground.js",
    ),
    (
        "arena.html",
        "Blind arena",
        "One model at two temperatures. Choose first, then learn which is which.",
        "arena.js",
    ),
    ("speed.html", "KV cache and speed", "How fast this machine writes, and what a conversation takes.", "speed.js"),
    (
        "structured.html",
        "Structured output",
        "A form for the answer, enforced while the model writes.",
        "structured_output.js",
    ),
)
# What the page on speed compares the course's model with.
_LARGER = ("llama-2-7b", "mistral-7b", "llama-2-13b", "mixtral-8x7b", "llama-2-70b")


def write(folder: Path) -> None:
    """Make `folder`: the pages, the libraries, the model. LabError when a library or the model cannot be had."""
    source = assets.CHECKOUT / "web"
    shutil.copytree(source / "src", folder, ignore=shutil.ignore_patterns("*.d.ts"))
    template = (source / "page.html").read_text(encoding="utf-8")
    for page in PAGES:
        (folder / page[0]).write_text(_page(template, *page), encoding="utf-8")
    _libraries(source, folder)
    _model(folder / "model")
    _worker(source, folder)


def _worker(source: Path, folder: Path) -> None:
    """Tell the service worker its version, and the files that it keeps at once: not the libraries, not the model."""
    small = [file.name for file in sorted(folder.iterdir()) if file.suffix in (".html", ".js", ".css")]
    first = json.dumps(["./", *(name for name in small if name != "sw.js"), "model/model.json"])
    worker = folder / "sw.js"
    text = worker.read_text(encoding="utf-8").replace("VERSION", _version(source)).replace('["FILES"]', first)
    worker.write_text(text, encoding="utf-8")


def _version(source: Path) -> str:
    """Another one for other files: a browser that kept the old pages then lets go of them."""
    digest = hashlib.sha256(__version__.encode())
    for file in sorted(source.glob("src/**/*.*")) + [source / "page.html", source / "package-lock.json"]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _page(template: str, file: str, title: str, lead: str, script: str) -> str:
    here = ' aria-current="page"'
    links = [f'<li><a href="{name}"{here * (name == file)}>{html.escape(text)}</a></li>' for name, text, _, _ in PAGES]
    filled = {
        "TITLE": html.escape(title),
        "LEAD": html.escape(lead),
        "SCRIPT": script,
        "LINKS": "\n        ".join(links),
    }
    for name, text in filled.items():
        template = template.replace(f"@{name}@", text)
    return template


def _libraries(source: Path, folder: Path) -> None:
    lock = json.loads((source / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    licences = [(assets.CHECKOUT / "LICENSE").read_text(encoding="utf-8")]
    archives = {name: _package(name, **_locked(lock, name)) for name in dict.fromkeys(name for name, _, _ in _VENDOR)}
    for name, member, target in _VENDOR:
        with tarfile.open(fileobj=io.BytesIO(archives[name])) as archive:
            (folder / "vendor" / target).write_bytes(_member(archive, f"package/{member}"))
    for name, content in archives.items():
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            file = next(
                path for path in archive.getnames() if path.lower().startswith(("package/licence", "package/license"))
            )
            licences.append(f"{name} {_locked(lock, name)['version']}\n\n{_member(archive, file).decode()}")
    (folder / "LICENSES.txt").write_text(("\n\n" + "-" * 72 + "\n\n").join(licences), encoding="utf-8")


def _locked(lock: dict[str, Any], name: str) -> dict[str, str]:
    entry = lock[f"node_modules/{name}"]
    return {"version": entry["version"], "integrity": entry["integrity"]}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise LabError(f"{name} is not in its package: web/package-lock.json names another version than expected.")
    return file.read()


def _package(name: str, version: str, integrity: str) -> bytes:
    """The archive of an npm package, from the course cache or the registry, with the hash that the lock file names."""
    import httpx2

    kept = cache.subfolder("npm") / f"{name.replace('/', '--')}-{version}.tgz"
    wanted = base64.b64decode(integrity.removeprefix("sha512-"))
    if kept.exists() and hashlib.sha512(kept.read_bytes()).digest() == wanted:
        return kept.read_bytes()
    registry = os.environ.get("NPM_CONFIG_REGISTRY", _REGISTRY).rstrip("/")
    address = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    print(f"Fetching {name} {version}", flush=True)
    try:
        content = httpx2.get(address, timeout=60, follow_redirects=True).raise_for_status().content
    except httpx2.HTTPError as problem:
        raise LabError(
            f"The live pages need {name} {version} from {registry}, and it cannot be had ({problem}): connect to the "
            "internet, or build without --live."
        ) from None
    if hashlib.sha512(content).digest() != wanted:
        raise LabError(f"{address} is not the file that web/package-lock.json names: it was thrown away.")
    with cache.replacing(kept) as part:
        part.write_bytes(content)
    return content


def _model(folder: Path) -> None:
    """The GGUF in parts, its tokenizer, and what the pages say of it and of larger models."""
    folder.mkdir()
    entry, file = catalogue.get(catalogue.DEFAULT), weights.gguf_file(quiet=True)
    parts = []
    with file.open("rb") as stream:
        while content := stream.read(PART_BYTES):
            name = f"part-{len(parts)}.bin"
            (folder / name).write_bytes(content)
            parts.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    manifest = {"title": entry.title, "bytes": file.stat().st_size, "parts": parts}
    (folder / "model.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        compact = json.loads((weights.ensure(quiet=True) / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(compact, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    (folder / "fragments.json").write_text(json.dumps(_fragments()), encoding="utf-8")
    own = {"title": entry.title, "bytes": file.stat().st_size, "readBytes": file.stat().st_size}
    known = [own | {"cacheBytes": memory.kv_cache_bytes(entry.shape, 1)}, *map(_larger, _LARGER)]
    (folder / "known.json").write_text(json.dumps(known, indent=1), encoding="utf-8")


def _fragments() -> list[int]:
    """The tokens whose bytes are only a piece of a letter: no text by themselves."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights.ensure(quiet=True))
    special = set(tokenizer.all_special_ids)
    described = (tokens.describe(number, tokenizer) for number in range(len(tokenizer)) if number not in special)
    return [token.id for token in described if "\ufffd" in token.bytes.decode(errors="replace")]


def _larger(name: str) -> dict[str, Any]:
    """Of a larger model: weights in 4 bits, what a token reads of them, and its KV cache in 16 bits."""
    entry = catalogue.get(name)
    sizes = {"bytes": entry.size_bytes("int4"), "readBytes": memory.weights_bytes(entry.active_parameters, "int4")}
    return {"title": entry.title, **sizes, "cacheBytes": memory.kv_cache_bytes(entry.shape, 1)}
