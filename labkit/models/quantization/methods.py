"""The quantization tools that people use, through one call, and what of them works on this machine.

bitsandbytes quantizes while it loads, in the lesson's own kernel. torchao does too, but prints warnings at each load of
any model once it is installed: it lives in a folder of its own in the course cache, seen by processes of
`labkit bench quantization` alone. GGUF files are made by `gguf_files`, and here loaded de-quantized. GPTQ and AWQ need
data, hours and a GPU to be made, and a GPU to be loaded: their checkpoints are read, not made.
What works where was tried on Linux with a CPU (2026-11-23). CUDA and Apple are as the projects say (unconfirmed): those
of bitsandbytes are the table in the description of its version 0.50.2 (seen 2026-11-25).
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import cache, machine, pip
from labkit.base.errors import LabError
from labkit.models.quantization import gguf_files

if TYPE_CHECKING:
    import pandas as pd

_TORCHAO = "torchao>=0.18,<0.19"


@dataclass(frozen=True)
class Method:
    """A way to store a model's weights. `bits` are those of a code; scales come on top."""

    name: str
    tool: str
    bits: int
    devices: tuple[str, ...]
    note: str


_ALL, _CUDA = ("cpu", "cuda", "mps"), ("cuda",)
METHODS = {
    method.name: method
    for method in (
        Method("fp32", "transformers", 32, _ALL, "the reference"),
        Method("bf16", "transformers", 16, _ALL, "no scales: half of each number is dropped"),
        Method("bitsandbytes int8", "bitsandbytes", 8, _ALL, "a scale a row; activations in 8 bits too"),
        Method("bitsandbytes NF4", "bitsandbytes", 4, _ALL, "blocks of 64, levels of the normal distribution"),
        Method("bitsandbytes NF4 double", "bitsandbytes", 4, _ALL, "the same, with scales in 8 bits"),
        Method("torchao int8", "torchao", 8, _ALL, "a scale a row, weights only"),
        Method("torchao int4", "torchao", 4, _ALL, "groups of 32, weights only; on a CPU each code takes a byte"),
        *(Method(f"GGUF {kind}", "llama.cpp", int(kind[1]), _ALL, "a file for llama.cpp") for kind in gguf_files.TYPES),
        Method("GPTQ", "gptqmodel", 4, _CUDA, "checkpoints of others, error feedback on sample data"),
        Method("AWQ", "gptqmodel", 4, _CUDA, "checkpoints of others, weights scaled by how much they matter"),
    )
}


def why_not(name: str) -> str:
    """Why a method does not work on this machine, in one sentence; an empty text where it does."""
    method = _method(name)
    here = machine.detect()
    if here.device not in method.devices:
        return (
            f"{name} needs {' or '.join(device.upper() for device in method.devices)}; this machine computes on a CPU."
            if here.device == "cpu"
            else f"{name} does not work on {here.device.upper()}."
        )
    if method.tool == "bitsandbytes" and importlib.util.find_spec("bitsandbytes") is None:
        return "bitsandbytes is not installed: run `pip install bitsandbytes` (on a Mac it needs macOS 14)."
    if method.tool == "gptqmodel":
        needed = ("gptqmodel", "optimum") if name == "GPTQ" else ("gptqmodel",)
        missing = " ".join(package for package in needed if importlib.util.find_spec(package) is None)
        return f"{name} needs packages that the course does not bring: run `pip install {missing}`." if missing else ""
    if method.tool == "torchao" and not torchao_ready():
        return "torchao is kept apart from the course: `labkit bench quantization` fetches it."
    if method.tool == "llama.cpp":
        try:
            gguf_files.require(name.removeprefix("GGUF "))
        except LabError as problem:
            return str(problem)
    return ""


def table() -> pd.DataFrame:
    """Every method: tool, bits of a code, where it works (CPU, CUDA, Apple), and why not here, if not."""
    import pandas as pd

    rows = []
    for method in METHODS.values():
        places = {title: device in method.devices for title, device in zip(("CPU", "CUDA", "Apple"), _ALL, strict=True)}
        rows.append({"method": method.name, "tool": method.tool, "bits": method.bits, **places, "note": method.note})
        rows[-1]["not_here"] = why_not(method.name)
    return pd.DataFrame(rows).set_index("method")


def load(name: str, *, checkpoint: str | Path | None = None, quiet: bool = False) -> tuple[Any, Any]:
    """`(model, tokenizer)` of the course model, its weights stored by a method of `table()`.

    What `from_pretrained` is given is the lesson: bitsandbytes and torchao take a configuration. A GGUF is loaded with
    its weights de-quantized, so that its predictions are comparable. GPTQ and AWQ need a `checkpoint`, a folder or a
    repository that somebody has made, whose own configuration says how. LabError where something does not work.
    """
    if (_method(name).tool == "gptqmodel") != (checkpoint is not None):
        raise LabError(
            f"There is no {name} checkpoint of the course model: name a folder or a repository, checkpoint=..."
            if checkpoint is None
            else f"checkpoint= is for GPTQ and AWQ: {name} begins with the course model."
        )
    if reason := why_not(name):
        raise LabError(reason)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from labkit.models import local
    from labkit.world import weights

    if checkpoint is not None:
        model = AutoModelForCausalLM.from_pretrained(checkpoint, device_map="cuda", dtype=local.torch_dtype("fp16"))
        return model.eval(), AutoTokenizer.from_pretrained(checkpoint)
    if name in ("fp32", "bf16"):
        return local.load(dtype=name)
    folder = weights.ensure(quiet=quiet)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if name.startswith("GGUF"):
        return gguf_files.load(gguf_files.make(name.removeprefix("GGUF "), quiet=quiet), quiet=quiet), tokenizer
    options = {"quantization_config": configuration(name), "dtype": local.torch_dtype("fp32")}
    if (device := machine.detect().device) != "cpu":
        options["device_map"] = device
    return AutoModelForCausalLM.from_pretrained(folder, **options).eval(), tokenizer


def configuration(name: str, skip: tuple[str, ...] = ("lm_head",)) -> Any:
    """The configuration that `from_pretrained` wants for a method of bitsandbytes or torchao.

    `skip` are beginnings of names, up to a dot: layers that stay as they are.
    """
    # It warns at its first import on some CPUs that a faster kernel could be fetched from the Hub.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import torch
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if name == "bitsandbytes int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(skip))
    if name.startswith("bitsandbytes NF4"):
        four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
        double = name.endswith("double")
        return BitsAndBytesConfig(**four, bnb_4bit_use_double_quant=double, llm_int8_skip_modules=list(skip))
    if name == "torchao int8":
        from torchao.quantization import Int8WeightOnlyConfig

        return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=list(skip))
    if name == "torchao int4":
        from torchao.quantization import IntxWeightOnlyConfig
        from torchao.quantization.granularity import PerGroup

        groups = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
        return TorchAoConfig(groups, modules_to_not_convert=list(skip))
    raise LabError(f"{name} has no configuration of its own: load(name) does what it needs.")


def torchao_folder() -> Path:
    """Where torchao lives, whether it is there or not: a folder to put first on the PYTHONPATH of a process."""
    return cache.root() / "environments" / "torchao"


def torchao_ready() -> bool:
    """Whether torchao can be used by a process of its own."""
    return (torchao_folder() / "torchao").is_dir() or importlib.util.find_spec("torchao") is not None


def fetch_torchao() -> Path:
    """Install torchao (1.4 MB to download on most systems) into its folder, once. LabError when pip cannot."""
    folder = torchao_folder()
    if not (folder / "torchao").is_dir():
        with cache.replacing(folder) as part:
            command = [*pip.PIP, "install", "--disable-pip-version-check", "--no-deps", "--target", str(part), _TORCHAO]
            cure = "connect to the internet, or go on without its rows"
            pip.run(command, failed="torchao could not be installed", cure=cure)
    return folder


def _method(name: str) -> Method:
    if name not in METHODS:
        raise LabError(f"There is no method {name!r}: choose one of {', '.join(METHODS)}.")
    return METHODS[name]
