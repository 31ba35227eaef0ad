"""The repositories of the local Hub, made from the catalogue: each card written for this course, each fact sourced.

A repository is a set of files with hashes. What is not known (downloads, likes) is not there. Knows the catalogue and
what a repository holds; knows nothing of HTTP.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit import catalogue
from labkit.catalogue import Entry
from labkit.classroom import hub_weights

NOT_THE_HUB = "local-hub; this is the course's Hub on your machine, not huggingface.co"
_LARGE = (".safetensors", ".gguf")
_SUFFIXES = ("-instruct", "-chat")


@dataclass(frozen=True)
class File:
    """One file. `size` is what it claims; `content` what is there: of weights rebuilt from shapes only their header."""

    path: str
    size: int
    content: bytes = field(default=b"", repr=False)
    on_disk: Path | None = None

    @property
    def is_whole(self) -> bool:
        return self.on_disk is not None or len(self.content) == self.size

    @property
    def is_large(self) -> bool:
        """Whether the real Hub would keep it outside git, and name it by its SHA-256."""
        return self.path.endswith(_LARGE)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of a large file (of a header alone where no more is here), git's own SHA-1 of a small one."""
        if not self.is_large:
            return hashlib.sha1(f"blob {self.size}\0".encode() + self.content, usedforsecurity=False).hexdigest()
        if self.on_disk is None:
            return hashlib.sha256(self.content).hexdigest()
        with self.on_disk.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to, not including, `end`."""
        if self.on_disk is None:
            return self.content[start:end]
        with self.on_disk.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


@dataclass(frozen=True)
class Repo:
    """One model repository, with the metadata that the client asks for."""

    id: str
    files: dict[str, File]
    card: dict[str, Any]
    config: dict[str, Any]
    parameters: dict[str, int]  # how many of each dtype
    gated: bool
    released: str | None

    @functools.cached_property
    def sha(self) -> str:
        """Forty digits that name this state of the files: a hash of their hashes, and not a git commit."""
        listing = "".join(f"{path} {file.digest}\n" for path, file in sorted(self.files.items()))
        return hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()

    @functools.cached_property
    def tags(self) -> list[str]:
        """What the real Hub derives from card, configuration and files, and `filter=` looks through."""
        tags = [self.card["library_name"], "safetensors", self.config["model_type"], self.card["pipeline_tag"]]
        tags += self.card.get("tags", []) + [f"license:{self.card['license']}"]
        if base := self.card.get("base_model"):
            tags += [f"base_model:{base}", f"base_model:finetune:{base}"]
        return tags


@functools.cache
def repositories(whole: Path | None = None) -> dict[str, Repo]:
    """Every repository by its id in small letters. `whole` is the folder of the course model, served complete."""
    repos = [_repo(entry, whole if entry.name == catalogue.DEFAULT else None) for entry in catalogue.all()]
    return {repo.id.lower(): repo for repo in repos}


def _repo(entry: Entry, whole: Path | None) -> Repo:
    config, card = _config(entry), _card(entry)
    files = _from_folder(whole) if whole else _weights(entry) | _file("config.json", json.dumps(config, indent=2))
    dtype = "F32" if whole else hub_weights.dtype_of(entry)
    files |= _file("README.md", _readme(entry, card, complete=whole is not None))
    released = entry.facts.get("released")
    return Repo(
        id=entry.repo_id,
        files=dict(sorted(files.items())),
        card=card,
        config=config,
        parameters={dtype: entry.parameters},
        gated=entry.gated is True,
        released=released.value if released and released.confirmed else None,
    )


def _file(path: str, text: str) -> dict[str, File]:
    content = text.encode()
    return {path: File(path, len(content), content)}


def _from_folder(folder: Path) -> dict[str, File]:
    found = {}
    for place in folder.iterdir():
        if place.is_file() and place.name != "labkit.json":
            large = place.name.endswith(_LARGE)
            content = b"" if large else place.read_bytes()
            found[place.name] = File(place.name, place.stat().st_size, content, place if large else None)
    return found


def _weights(entry: Entry) -> dict[str, File]:
    parts, dtype = hub_weights.shards(entry), hub_weights.dtype_of(entry)
    files = {}
    for name, part in zip(hub_weights.file_names(parts), parts, strict=True):
        content, size = hub_weights.header(part, dtype)
        files[name] = File(name, size, content)
    if len(parts) > 1:
        files |= _file("model.safetensors.index.json", json.dumps(hub_weights.index(parts, dtype), indent=1))
    return files


def _config(entry: Entry) -> dict[str, Any]:
    """`config.json` with the published values that the catalogue has; the rest is the library's default."""
    shape = entry.shape
    config: dict[str, Any] = {
        "architectures": [entry.architecture],
        "model_type": entry.value("model_type"),
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocab,
        "max_position_embeddings": entry.context,
        "tie_word_embeddings": shape.tied,
    }
    if shape.experts > 1:
        config |= {"num_local_experts": shape.experts, "num_experts_per_tok": shape.experts_active}
    if shape.window:
        config["sliding_window"] = shape.window
    return config


def _card(entry: Entry) -> dict[str, Any]:
    """The card's metadata: what is confirmed of licence, task, library and descent."""
    card = {"license": entry.licence, "library_name": "transformers", "pipeline_tag": "text-generation"}
    if entry.value("chat"):
        card["tags"] = ["conversational"]
    base = next((entry.name.removesuffix(suffix) for suffix in _SUFFIXES if entry.name.endswith(suffix)), None)
    if base in catalogue.names():
        card["base_model"] = catalogue.get(base).repo_id
    return card


def _readme(entry: Entry, card: dict[str, Any], *, complete: bool) -> str:
    front = [f"{key}: {json.dumps(value)}" for key, value in card.items()]
    there = (
        "Its weights are those of the course model, which were stored in 4 bits (GGUF, Q4_1) and turned back into 32."
        if complete
        else "Its weights are not here: the files have headers rebuilt from the published shapes, and no numbers."
    )
    rows = [
        f"| {key} | {fact.value} | {'' if fact.confirmed else 'unconfirmed: '}{fact.source} | {fact.seen} |"
        for key, fact in entry.facts.items()
        if not key.startswith("embedded") and fact.value != ""
    ]
    return "\n".join(
        ["---", *front, "---", f"# {entry.title}", ""]
        + [f"This card was written for a course, and is not the maker's own. {there}", ""]
        + ["| Fact | Value | Source | Read on |", "|---|---|---|---|", *rows, ""]
    )
