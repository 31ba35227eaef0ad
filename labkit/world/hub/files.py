"""What a repository of the local Hub is: files with hashes, the card's metadata, and the tags that follow from them.

Knows nothing of where a repository comes from (`hub.repos`, `hub.made`) and nothing of HTTP.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGE = (".safetensors", ".gguf", ".bin", ".parquet")


@dataclass(frozen=True)
class File:
    """One file. `size` is what it claims to have, `content` what is here: the header alone, where weights are not."""

    path: str
    size: int
    content: bytes = field(default=b"", repr=False)
    on_disk: Path | None = None
    known_digest: str = ""  # where it is known: hashing takes a second for each gigabyte or two

    @property
    def is_large(self) -> bool:
        """Whether the real Hub would keep it outside git, and name it by its SHA-256."""
        return self.path.endswith(LARGE) or len(self.known_digest) == 64

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of a large file, or of its header where that is all there is; git's own SHA-1 of a small one."""
        if self.known_digest:
            return self.known_digest
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


@dataclass(frozen=True, eq=False)
class Repo:
    """One repository, with the metadata that clients ask for. Compared by identity."""

    id: str
    files: dict[str, File]
    card: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)  # numbers of each dtype in its safetensors files
    gated: bool | str = False  # True means manual
    released: str | None = None  # year, year and month, or a day
    kind: str = "model"  # or "dataset"
    gguf: dict[str, Any] = field(default_factory=dict)  # what the header of its GGUF file says
    private: bool = False
    commit: str = ""  # the name of this state, where there are several
    created: str = ""  # the moments of its first commit and of this one, where they are known
    modified: str = ""

    @property
    def key(self) -> str:
        """The name that `repositories()` has it under."""
        return ("" if self.kind == "model" else f"{self.kind}s/") + self.id.lower()

    @property
    def author(self) -> str:
        return self.id.split("/")[0]

    @property
    def total(self) -> int | None:
        """How many parameters its files hold, as the Hub counts them; None where no header says it."""
        return sum(self.parameters.values()) or self.gguf.get("total")

    @functools.cached_property
    def sha(self) -> str:
        """Forty digits that name this state of the files: its commit, or a hash of their hashes."""
        if self.commit:
            return self.commit
        listing = "".join(f"{path} {file.digest}\n" for path, file in sorted(self.files.items()))
        return hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()

    @functools.cached_property
    def bases(self) -> tuple[str, tuple[str, ...]]:
        """How it descends, (adapter, quantized or finetune), and from which repositories: told by its own files."""
        parents = tuple(_listed(self.card.get("base_model")))
        if "adapter_config.json" in self.files:
            return "adapter", parents
        quantized = self.gguf or "quantization_config" in self.config
        return self.card.get("base_model_relation") or ("quantized" if quantized else "finetune"), parents

    @functools.cached_property
    def tags(self) -> list[str]:
        """What the real Hub derives from card, configuration and files, and `filter=` looks through."""
        card = self.card
        tags = _dataset_tags(card) if self.kind == "dataset" else self._model_tags()
        tags += _listed(card.get("tags"))
        if card.get("license"):
            tags.append(f"license:{card['license']}")
        return list(dict.fromkeys(tags))

    def _model_tags(self) -> list[str]:
        card, endings = self.card, {path.rpartition(".")[2] for path in self.files}
        tags = [card.get("library_name"), self.config.get("model_type"), card.get("pipeline_tag")]
        tags += [tag for ending, tag in _FORMATS.items() if ending in endings]
        tags += _listed(card.get("language")) + [f"dataset:{name}" for name in _listed(card.get("datasets"))]
        relation, parents = self.bases
        for parent in parents:
            tags += [f"base_model:{parent}", f"base_model:{relation}:{parent}"]
        return [tag for tag in tags if tag and isinstance(tag, str)]


_FORMATS = {"safetensors": "safetensors", "gguf": "gguf", "bin": "pytorch"}
_DATASET_KEYS = ("task_categories", "task_ids", "language", "size_categories", "multilinguality", "language_creators")


def _dataset_tags(card: dict[str, Any]) -> list[str]:
    return [f"{key}:{value}" for key in _DATASET_KEYS for value in _listed(card.get(key))]


def _listed(value: Any) -> list[str]:
    """A field of a card that may be missing, one word or several."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]


def text_file(path: str, text: str) -> dict[str, File]:
    """One file of text, by its path."""
    return data_file(path, text.encode())


def data_file(path: str, content: bytes) -> dict[str, File]:
    """One file of bytes, by its path."""
    return {path: File(path, len(content), content)}
