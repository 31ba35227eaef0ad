"""The repositories of the local Hub: those of the catalogue, and those made for the course (`hub.made`).

Each card of a published model is written for this course, each fact sourced. What is not known (downloads, likes) is
not there. Knows the catalogue and what a repository holds; knows nothing of HTTP.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from labkit.facts import catalogue
from labkit.facts.catalogue import Entry
from labkit.world.hub import made, weight_files
from labkit.world.hub.card_metadata import LICENCES
from labkit.world.hub.files import File, Repo, data_file, text_file

NOT_THE_HUB = "local-hub; this is the course's Hub on your machine, not huggingface.co"
_SUFFIXES = ("-instruct", "-chat")
# Of the one model that is served whole. A tag is in every answer about it, and can be searched for.
_DEQUANTIZED = "dequantized-from-Q4_1"


@functools.cache
def repositories(whole: Path | None = None) -> dict[str, Repo]:
    """Every repository by its id in small letters, datasets as "datasets/owner/name".

    `whole` is the folder of the course model: served complete, and its GGUF too. Without it no numbers are served.
    """
    repos = [_repo(entry, whole if entry.name == catalogue.DEFAULT else None) for entry in catalogue.all()]
    repos += made.repositories(with_course_model=whole is not None)
    return {repo.key: repo for repo in repos}


def card_text(name: str) -> str:
    """The README.md that this Hub gives out for a model of the catalogue. LabError for an unknown name."""
    entry = catalogue.get(name)
    complete = entry.name == catalogue.DEFAULT
    return _readme(entry, _card(entry, complete=complete), complete=complete)


def _repo(entry: Entry, whole: Path | None) -> Repo:
    config, card = weight_files.config(entry), _card(entry, complete=whole is not None)
    files = _from_folder(whole) if whole else weight_files.files(entry)
    files |= text_file("README.md", _readme(entry, card, complete=whole is not None))
    released = entry.facts.get("released")
    return Repo(
        id=entry.repo_id,
        files=dict(sorted(files.items())),
        card=card,
        config=config,
        parameters={"F32" if whole else weight_files.dtype_of(entry): entry.parameters},
        gated=entry.gated is True,
        released=released.value if released and not released.is_second_hand else None,
    )


def _from_folder(folder: Path) -> dict[str, File]:
    """The files of a converted model; its record has the hash of the weights, so that no search waits for one."""
    record, found = json.loads((folder / "labkit.json").read_text(encoding="utf-8")), {}
    for place in folder.iterdir():
        if place.name == "model.safetensors":
            found[place.name] = File(
                place.name, place.stat().st_size, on_disk=place, known_digest=record.get("weights_sha256", "")
            )
        elif place.is_file() and place.name != "labkit.json":
            found |= data_file(place.name, place.read_bytes())
    return found


def _card(entry: Entry, *, complete: bool) -> dict[str, Any]:
    """The card's metadata: what is known of licence, task, library and descent."""
    card = {"license": entry.licence, "library_name": "transformers"}
    if entry.licence not in LICENCES:
        card |= {"license": "other", "license_name": entry.licence, "license_link": "LICENSE"}
    card["pipeline_tag"] = entry.value("task", "text-generation")
    tags = (["conversational"] if entry.value("chat") else []) + ([_DEQUANTIZED] if complete else [])
    if tags:
        card["tags"] = tags
    base = next((entry.name.removesuffix(suffix) for suffix in _SUFFIXES if entry.name.endswith(suffix)), None)
    if base in catalogue.names():
        card["base_model"] = catalogue.get(base).repo_id
    elif "base_model" in entry.facts:
        card["base_model"] = entry.value("base_model")
    return card


def _readme(entry: Entry, card: dict[str, Any], *, complete: bool) -> str:
    front = [f"{key}: {json.dumps(value)}" for key, value in card.items()]
    there = (
        "Its weights are those of the course model, which were stored in 4 bits (GGUF, Q4_1) and turned back into 32."
        if complete
        else "Its weights are not here: the files have headers rebuilt from the published shapes, and no numbers."
    )
    if quantized := (entry.config or {}).get("quantization_config"):
        there += f" They are published in {quantized['quant_method'].upper()}; the headers here are those of 16 bits."
    rows = [
        f"| {key} | {fact.value} | {fact.source} | {fact.grade} | {fact.seen} |"
        for key, fact in entry.facts.items()
        if not key.startswith("embedded")
    ]
    return "\n".join(
        ["---", *front, "---", f"# {entry.title}", ""]
        + [f"This card was written for a course, and is not the maker's own. {there}", ""]
        + ["| Fact | Value | Source | Grade | Read on |", "|---|---|---|---|---|", *rows, ""]
    )
