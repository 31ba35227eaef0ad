"""GGUF files with quantized weights, made here: read one, quantize tensor by tensor, write one that llama.cpp loads.

`gguf` reads and writes the format. The K-quants come out of llama.cpp itself: its `ggml_quantize_chunk` is called in
xllamacpp's library where that shows it (Linux, macOS); elsewhere numpy writes Q8_0 and Q4_0, and K-quants are refused.
Which tensor gets which type follows llama.cpp's own rules, without an importance matrix.
Source: src/llama-quant.cpp of https://github.com/ggml-org/llama.cpp, tensor_type_fallback (seen 2026-11-23)
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import cache, machine
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.facts import catalogue
from labkit.world import conversion, weights

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

# Raise it when `make` writes something else, so that old files are made again.
RECIPE = 1
TYPES = ("Q8_0", "Q6_K", "Q5_K", "Q4_K_M", "Q4_K", "Q4_0", "Q3_K", "Q2_K")
IN_NUMPY = ("Q8_0", "Q4_0")
# A K-quant has super-blocks of 256 weights. A matrix whose rows cannot be cut so gets one of these instead.
FALLBACK = {"Q6_K": "Q8_0", "Q5_K": "Q5_1", "Q4_K": "Q5_0", "Q3_K": "Q4_0", "Q2_K": "Q4_0"}
_ROWS = 2048  # of a tensor in fp32 at a time
_FILE_TYPES = {"F16": 1, "Q4_0": 2, "Q8_0": 7, "Q2_K": 10, "Q3_K": 11, "Q4_K": 14, "Q4_K_M": 15, "Q5_K": 16, "Q6_K": 18}


def make(file_type: str, target: Path | None = None, *, source: Path | None = None, quiet: bool = False) -> Path:
    """A GGUF of `file_type` (one of `TYPES`), made once and kept in the course cache unless `target` says where.

    `source` is the GGUF to begin with: the course model's own unless given. It takes seconds, with a progress bar;
    stopped in the middle, nothing is left behind. LabError for an unknown type, or one that cannot be made here.
    """
    require(file_type)
    source = source or weights.gguf_file(quiet=quiet)
    target = target or cache.subfolder("quantized", str(RECIPE)) / f"{source.stem}-{file_type}.gguf"
    if target.exists():
        return target
    cache.require_space(target.parent, source.stat().st_size * 2, f"Making a {file_type} file")
    with cache.replacing(target) as part:
        write(source, part, file_type, quiet=quiet)
    return target


def require(file_type: str) -> None:
    """LabError unless files of this type can be made on this machine."""
    _known(file_type)
    if file_type not in possible():
        raise LabError(
            f"{file_type} files cannot be made here, because this llama.cpp does not show its quantizer: choose "
            f"{' or '.join(IN_NUMPY)}, which numpy can write."
        )


def possible() -> tuple[str, ...]:
    """The types that can be made on this machine: all of `TYPES`, or those of numpy."""
    return TYPES if ggml() is not None else IN_NUMPY


def plan(file_type: str, source: Path | None = None) -> pd.DataFrame:
    """What a file of `file_type` gets: name, rows, columns, type, bits a weight, and whether the type is a fallback.

    It can be asked for any of `TYPES`, also where the file itself cannot be made.
    """
    import pandas as pd
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    _known(file_type)
    file, rows = source or weights.gguf_file(), []
    shapes, layers = _shapes(file, file.stat().st_mtime_ns)
    for name, shape in shapes.items():
        kind, fell_back = tensor_type(name, shape, file_type, layers)
        per_block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        count = math.prod(shape)
        row = {"tensor": name, "rows": count // shape[0], "columns": shape[0], "type": kind}
        rows.append(row | {"bits": 8 * size / per_block, "bytes": count // per_block * size, "fell_back": fell_back})
    return pd.DataFrame(rows)


@functools.lru_cache(maxsize=4)
def _shapes(file: Path, changed: int) -> tuple[dict[str, list[int]], int]:
    """The tensors of a file, columns first, and its count of layers. Kept, because reading a file takes seconds."""
    reader = conversion.read(file)
    found = {tensor.name: [int(size) for size in tensor.shape] for tensor in reader.tensors}, _layer_count(reader)
    del reader
    machine.release_memory()
    return found


def tensor_type(name: str, shape: list[int], file_type: str, layers: int) -> tuple[str, bool]:
    """The type that a tensor gets in a file of `file_type`, and whether it is not the one that was wanted.

    `shape` begins with the columns, as GGUF has it; `layers` is how many the model has.

    >>> tensor_type("blk.0.ffn_down.weight", [1536, 576], "Q4_K", 30)  # 1,536 is 6 x 256
    ('Q4_K', False)
    >>> tensor_type("blk.0.ffn_up.weight", [576, 1536], "Q4_K", 30)  # 576 is not a multiple of 256
    ('Q5_0', True)
    """
    if len(shape) < 2:
        return "F32", False  # norms: few numbers, and all of them matter
    wanted = "Q4_K" if file_type == "Q4_K_M" else file_type
    if wanted == "F16":
        return wanted, False
    if name in ("token_embd.weight", "output.weight"):
        wanted = "Q8_0" if file_type == "Q8_0" else "Q6_K"  # tied, the embedding is the output layer too
    elif file_type == "Q4_K_M" and re.search(r"attn_v|ffn_down", name) and _more_bits(int(name.split(".")[1]), layers):
        wanted = "Q6_K"
    if wanted in FALLBACK and shape[0] % 256:
        return FALLBACK[wanted], True
    return wanted, False


def _more_bits(layer: int, layers: int) -> bool:
    """The M in Q4_K_M: the first and the last eighth of the layers, and each third one between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def quantize_rows(rows: np.ndarray, kind: str) -> np.ndarray:
    """`rows` (rows, columns) in fp32 as the bytes of `kind`, (rows, bytes a row), by llama.cpp or else by numpy."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    number = GGMLQuantizationType[kind]
    per_block, size = GGML_QUANT_SIZES[number]
    if rows.shape[1] % per_block:
        raise LabError(f"Rows of {rows.shape[1]} weights cannot be cut into blocks of {per_block}, as {kind} needs.")
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if kind == "F16" or (library := ggml()) is None:
        return quants.quantize(rows, number).view(np.uint8)
    result = np.empty((rows.shape[0], rows.shape[1] // per_block * size), np.uint8)
    library.ggml_quantize_chunk(int(number), rows.ctypes.data, result.ctypes.data, 0, *rows.shape, None)
    return result


@functools.lru_cache(maxsize=1)
def ggml() -> Any | None:
    """llama.cpp's library as xllamacpp brings it, or None where it does not show `ggml_quantize_chunk`."""
    import xllamacpp

    for file in sorted(Path(xllamacpp.__file__).parent.glob("xllamacpp*")):
        if file.suffix in (".so", ".pyd", ".dylib"):
            try:
                library = ctypes.CDLL(str(file))
                function = library.ggml_quantize_chunk
            except (OSError, AttributeError):
                continue
            whole, pointer = ctypes.c_int64, ctypes.c_void_p
            function.argtypes = [ctypes.c_int, pointer, pointer, whole, whole, whole, pointer]
            function.restype = ctypes.c_size_t
            return library
    return None


def dequantized(file: Path, *, quiet: bool = False) -> dict[str, torch.Tensor]:
    """The weights of a GGUF in fp32, by the names and in the order of rows that transformers wants in a Llama model."""
    import torch

    reader = conversion.read(file)
    tensors = bar(conversion.weights(reader), f"Reading {file.name}", quiet=quiet, total=len(reader.tensors))
    return {name: torch.from_numpy(values.copy()) for name, values in tensors}


def load(file: Path, *, quiet: bool = False) -> Any:
    """The course model of transformers with the weights of `file` in fp32: what a GGUF's perplexity is measured on.

    It is the same as `from_pretrained(..., gguf_file=...)` in a fifth of the time. LabError if `file` is not a version
    of the course model.
    """
    from labkit.models import local

    model, _ = local.load(catalogue.DEFAULT, "fp32")
    tensors = dequantized(file, quiet=quiet)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items() if name in tensors}
    if len(expected) != len(tensors) or any(expected[name] != tuple(tensors[name].shape) for name in tensors):
        raise LabError(f"{file.name} is not a version of the course model: its tensors have other names or sizes.")
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    return model.eval()


def _known(file_type: str) -> None:
    if file_type not in TYPES:
        raise LabError(f"{file_type!r} is not a type that is made here: choose one of {', '.join(TYPES)}.")


def _layer_count(reader: Any) -> int:
    return int(reader.fields[f"{reader.fields['general.architecture'].contents()}.block_count"].contents())


def write(
    source: Path, part: Path, file_type: str, values: Callable[[Any], np.ndarray] | None = None, *, quiet: bool = False
) -> None:
    """Write `part`: the keys of `source`, and its tensors as `file_type` (one of `TYPES`, or F16) has them.

    `values` gives a tensor of the reader in fp32, for a model of the same shape with other weights; else they are
    those of `source`. The weights go through fp32 a few rows at a time: an embedding whole costs half a gigabyte.
    """
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

    reader = conversion.read(source)
    writer = GGUFWriter(part, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "general.file_type"):
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    writer.add_file_type(_FILE_TYPES[file_type])
    kinds, layers = {}, _layer_count(reader)
    for tensor in reader.tensors:
        shape = [int(size) for size in tensor.shape]
        kinds[tensor.name], _ = tensor_type(tensor.name, shape, file_type, layers)
        number = GGMLQuantizationType[kinds[tensor.name]]
        per_block, size = GGML_QUANT_SIZES[number]
        in_bytes = (*reversed(shape[1:]), shape[0] // per_block * size)
        length = tensor.n_elements // per_block * size
        writer.add_tensor_info(tensor.name, in_bytes, np.dtype("uint8"), length, number)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        # 150 MB: a reader holds each of 100,000 tokens and merges as arrays of its own.
        reader.fields.clear()
        machine.release_memory()
        for tensor in bar(reader.tensors, f"Making {file_type}", quiet=quiet):
            writer.write_tensor_data(_as(tensor, kinds[tensor.name], values))
    finally:
        writer.close()


def _as(tensor: Any, kind: str, values: Callable[[Any], np.ndarray] | None) -> np.ndarray:
    """The bytes of a tensor as `kind`; one without rows, a norm, stays fp32."""
    import numpy as np
    from gguf import quants

    def read(data: np.ndarray) -> np.ndarray:
        return data if values else quants.dequantize(data, tensor.tensor_type)

    data = values(tensor) if values else tensor.data
    if data.ndim < 2:
        return read(data)
    return np.concatenate([quantize_rows(read(data[row : row + _ROWS]), kind) for row in range(0, len(data), _ROWS)])
