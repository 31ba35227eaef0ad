"""The repositories that were made for the course: copies in other formats, an adapter, bad examples, data sets.

Their cards and small files are in `assets/hub`; weights are made here when the Hub starts, always the same ones. Knows
formats; knows nothing of HTTP.
"""

from __future__ import annotations

import array
import json
import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.base import assets
from labkit.facts import catalogue
from labkit.world import weights as models
from labkit.world.hub import card_metadata, weight_files
from labkit.world.hub.files import File, Repo, data_file, text_file

MADE = "2026-11-23"  # the day on which they were made
PICKLE_SAYS = "This line was printed by the pickle file: loading it ran code that its author chose."
RANK = 4
_BITS, _GROUP = 4, 128  # of the quantized copy, in GPTQ's layout


def repositories(*, with_course_model: bool) -> list[Repo]:
    """Every repository of `assets/hub`. The one that serves the course model's own file only `with_course_model`, and
    if that file is in the cache: a Hub that starts fetches nothing."""
    whole = with_course_model and models.status() == "ready"
    found = [_model(folder) for folder in _folders("models") if whole or _name(folder) not in _WITH_WEIGHTS]
    return found + [_dataset(folder) for folder in _folders("datasets")]


def _folders(kind: str) -> list[Path]:
    return sorted(folder for folder in assets.path("hub", kind).glob("*/*") if folder.is_dir())


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _model(folder: Path) -> Repo:
    files = _files(folder)
    card = card_metadata.metadata(files["README.md"].content.decode())
    made = _MAKERS[_name(folder)]()
    config = json.loads(made["files"]["config.json"].content) if "config.json" in made["files"] else {}
    made["files"] = dict(sorted((files | made["files"]).items()))
    return Repo(id=_name(folder), card=card, config=config, released=MADE, **made)


def _dataset(folder: Path) -> Repo:
    files = _files(folder)
    card = card_metadata.metadata(files["README.md"].content.decode())
    return Repo(id=_name(folder), files=files, card=card, released=MADE, kind="dataset")


def _files(folder: Path) -> dict[str, File]:
    found: dict[str, File] = {}
    for place in sorted(folder.rglob("*")):
        if place.is_file():
            # A checkout on Windows may have other line ends: the same files have the same hash everywhere.
            found |= data_file(place.relative_to(folder).as_posix(), place.read_bytes().replace(b"\r\n", b"\n"))
    return found


# --- weights, in the form that each repository has them


def _gguf() -> dict[str, Any]:
    """The file that the course model comes from, as it was published."""
    entry, place = catalogue.get(catalogue.DEFAULT), models.gguf_file(quiet=True)
    name = entry.value("embedded_member").rpartition("/")[2]
    size, sha256 = entry.value("embedded_gguf_bytes"), entry.value("embedded_gguf_sha256")
    header = {"total": entry.parameters, "architecture": "llama", "context_length": entry.context}
    return {"files": {name: File(name, size, on_disk=place, known_digest=sha256)}, "gguf": header}


def _adapter() -> dict[str, Any]:
    """A LoRA adapter that peft loads: random A matrices, and B matrices of zeros, so that it changes nothing yet."""
    shape, draw = catalogue.get(catalogue.DEFAULT).shape, random.Random(0)
    rows = {"q_proj": shape.heads * shape.head_dim, "v_proj": shape.kv_heads * shape.head_dim}
    weights, numbers = {}, array.array("f")
    for layer in range(shape.layers):
        for name, out in rows.items():
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{place}.lora_A.weight"] = (RANK, shape.hidden)
            numbers.extend(draw.uniform(-0.04, 0.04) for _ in range(RANK * shape.hidden))
            weights[f"{place}.lora_B.weight"] = (out, RANK)
            numbers.extend([0.0] * (out * RANK))
    if sys.byteorder == "big":
        numbers.byteswap()
    head, _ = weight_files.header(weights, "F32")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": catalogue.get(catalogue.DEFAULT).repo_id,
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(rows),
        "inference_mode": True,
    }
    files = text_file("adapter_config.json", json.dumps(config, indent=2))
    files |= data_file("adapter_model.safetensors", head + numbers.tobytes())
    return {"files": files, "parameters": {"F32": len(numbers)}}


def _quantized() -> dict[str, Any]:
    """Headers of the base model's matrices in GPTQ's layout: 4-bit numbers, eight in an int32, a scale for each 128."""
    entry, per_word = catalogue.get("mistral-7b-instruct"), 32 // _BITS
    weights: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, size in weight_files.tensors(entry).items():
        if not name.endswith("_proj.weight"):
            weights[name] = ("F16", size)
            continue
        (out, into), place = size, name.removesuffix(".weight")
        weights[f"{place}.qweight"] = ("I32", (into // per_word, out))
        weights[f"{place}.qzeros"] = ("I32", (into // _GROUP, out // per_word))
        weights[f"{place}.scales"] = ("F16", (into // _GROUP, out))
        weights[f"{place}.g_idx"] = ("I32", (into,))
    content, size = weight_files.mixed_header(weights)
    quantization = {"quant_method": "gptq", "bits": _BITS, "group_size": _GROUP, "desc_act": False, "sym": True}
    config = weight_files.config(entry) | {"quantization_config": quantization}
    files = text_file("config.json", json.dumps(config, indent=2))
    files["model.safetensors"] = File("model.safetensors", size, content)
    return {"files": files, "parameters": weight_files.count(weights, gptq_bits=_BITS)}


def _like(name: str) -> Callable[[], dict[str, Any]]:
    """The configuration and the headers of a model of the catalogue."""

    def make() -> dict[str, Any]:
        entry = catalogue.get(name)
        return {"files": weight_files.files(entry), "parameters": {weight_files.dtype_of(entry): entry.parameters}}

    return make


class _Printed:
    """What its pickle does when it is loaded: call a function with an argument, here `print`."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, (PICKLE_SAYS,)


def _pickle() -> dict[str, Any]:
    """A pickle that calls `print`, by name: protocol 2 with Python 3's names, as `pickletools` shows it plainest."""
    files = data_file("pytorch_model.bin", pickle.dumps(_Printed(), protocol=2, fix_imports=False))
    config = weight_files.config(catalogue.get(catalogue.DEFAULT))
    return {"files": files | text_file("config.json", json.dumps(config, indent=2))}


_MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "course-examples/SmolLM2-135M-Instruct-GGUF": _gguf,
    "course-examples/SmolLM2-135M-Instruct-LoRA": _adapter,
    "course-examples/Mistral-7B-Instruct-v0.3-GPTQ-4bit": _quantized,
    "course-examples/SmolLM2-360M-Instruct-course-questions": _like("smollm2-360m-instruct"),
    "course-warnings/pickle-only": _pickle,
    "course-warnings/no-licence": _like("smollm2-360m"),
    "HugglngFaceTB/SmolLM2-135M-Instruct": _like(catalogue.DEFAULT),
}
_WITH_WEIGHTS = ("course-examples/SmolLM2-135M-Instruct-GGUF",)
