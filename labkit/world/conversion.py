"""GGUF to safetensors, once, in a process of its own: `python -m labkit.world.conversion FILE.gguf FOLDER`.

Straight from the file: its tensors, de-quantized, and its metadata as the JSON that `from_pretrained` reads. It is what
transformers' own way would give, in a tenth of the time, and without the part of the tokenizer that is lost there. The
child process keeps what it takes, half a GB, out of the lesson's kernel. Knows nothing of the cache or of catalogues.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader

# What transformers calls the parts of a Llama; `gguf` knows llama.cpp's name for each.
_LAYER = ("input_layernorm", "post_attention_layernorm", *(f"self_attn.{part}_proj" for part in "qkvo"))
_LAYER += tuple(f"mlp.{part}_proj" for part in ("gate", "up", "down"))
_OUTSIDE = ("model.embed_tokens", "model.norm", "lm_head")
# What transformers calls the special tokens, and what a GGUF does.
_SPECIAL = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
_CONTROL = 3  # llama.cpp's type of a token that is never text
# What LlamaConfig says of each model like this one, and a GGUF does not.
_LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "dtype": "float32",
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "mlp_bias": False,
    "model_type": "llama",
    "pretraining_tp": 1,
    "use_cache": True,
}


def convert(gguf: Path, folder: Path) -> str:
    """Write `folder`, ready for `from_pretrained`: fp32 weights de-quantized from `gguf`, tokenizer, chat template.

    `gguf` is a Llama model with a byte-level tokenizer, as the course's is. The weights come last, when all else is
    there. Returns their file's SHA-256.
    """
    reader = read(gguf)
    tensors = weights(reader)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    special = {name: fields[f"tokenizer.ggml.{theirs}_token_id"] for name, theirs in _SPECIAL.items()}
    ids = {f"{name}_token_id": token for name, token in special.items()}
    folder.mkdir(parents=True, exist_ok=True)
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    _write_json(folder / "config.json", _config(fields) | ids | {"tie_word_embeddings": tied})
    generation = {name: token for name, token in ids.items() if name != "unk_token_id"}
    _write_json(folder / "generation_config.json", generation)
    _write(folder / "tokenizer.json", json.dumps(_tokenizer(fields), indent=2, ensure_ascii=False))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(fields, special))
    _write(folder / "chat_template.jinja", fields["tokenizer.chat_template"])
    names = transformers_names(fields["llama.block_count"])
    reader.tensors.sort(key=lambda tensor: names[tensor.name])  # in place: `tensors` come in this order, too
    shapes = {names[tensor.name]: [int(size) for size in reversed(tensor.shape)] for tensor in reader.tensors}
    return _save(tensors, shapes, folder / "model.safetensors")


def _save(tensors: Iterator[tuple[str, np.ndarray]], shapes: dict[str, list[int]], file: Path) -> str:
    """What safetensors' `save_file` writes, each tensor while the next one is computed; returns the SHA-256.

    `tensors` are fp32, in the order of `shapes`. The format: https://huggingface.co/docs/safetensors
    """
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with file.open("wb") as target, ThreadPoolExecutor(1) as beside:

        def write(content: Any) -> None:
            target.write(content)
            digest.update(content)

        writing = beside.submit(write, struct.pack("<Q", len(text)) + text)
        for _, values in tensors:
            writing.result()  # one at a time: all of them would be half a gigabyte
            writing = beside.submit(write, values)
        writing.result()
    return digest.hexdigest()


def read(file: Path) -> GGUFReader:
    """A reader of a GGUF file's fields and tensors; LabError if it is none, or not whole."""
    from labkit.world.gguf_reader import Reader

    try:
        return Reader(file)
    except (OSError, ValueError, KeyError, IndexError, struct.error) as problem:
        raise LabError(f"{file} cannot be read as GGUF ({problem}): is it whole?") from None


def weights(reader: GGUFReader) -> Iterator[tuple[str, np.ndarray]]:
    """The weights of a Llama model's GGUF in fp32, one after the other, by the names that transformers gives them.

    LabError for another architecture. The reader's fields are looked at now, its tensors when each one's turn comes.
    """
    if reader.fields["general.architecture"].contents() != "llama":
        raise LabError(f"{Path(reader.data.filename).name} is not a Llama model: this course reads back only those.")
    heads = [int(reader.fields[f"llama.attention.head_count{kind}"].contents()) for kind in ("", "_kv")]
    names = transformers_names(int(reader.fields["llama.block_count"].contents()))
    return (_weight(tensor, names, *heads) for tensor in reader.tensors)


def _weight(tensor: Any, names: dict[str, str], heads: int, kv_heads: int) -> tuple[str, np.ndarray]:
    from gguf import quants

    values = quants.dequantize(tensor.data, tensor.tensor_type)
    return names.get(tensor.name, tensor.name), rotary_order(tensor.name, values, heads, kv_heads, back=True)


def transformers_names(layers: int) -> dict[str, str]:
    """What transformers calls each tensor of a Llama's GGUF with that many layers.

    >>> transformers_names(30)["blk.3.attn_q.weight"]
    'model.layers.3.self_attn.q_proj.weight'
    """
    from gguf import MODEL_ARCH, get_tensor_name_map

    known = get_tensor_name_map(MODEL_ARCH.LLAMA, layers)
    theirs = [*_OUTSIDE, *(f"model.layers.{layer}.{part}" for layer in range(layers) for part in _LAYER)]
    return {f"{known.get_name(name)}.weight": f"{name}.weight" for name in theirs}


def rotary_order(name: str, rows: Any, heads: int, kv_heads: int, *, back: bool = False) -> Any:
    """A tensor of that GGUF name in llama.cpp's order of rows, or from it `back` in transformers'; numpy or torch.

    Only queries and keys differ, (heads x head_dim, hidden). Rotary positions turn pairs of numbers: transformers pairs
    the first half of a head with the second, llama.cpp each number with its neighbour.
    """
    part = name.split(".")[-2]
    if part not in ("attn_q", "attn_k"):
        return rows
    pairs = (-1, 2) if back else (2, -1)
    split = rows.reshape(heads if part == "attn_q" else kv_heads, *pairs, rows.shape[-1])
    return split.swapaxes(1, 2).reshape(rows.shape)


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    """What LlamaConfig is made from, by the file's own numbers."""
    return _LLAMA | {
        "_model_name_or_path": fields["general.name"],
        "head_dim": fields["llama.rope.dimension_count"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": fields["llama.context_length"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_theta": fields["llama.rope.freq_base"], "rope_type": "default"},
        "vocab_size": fields["llama.vocab_size"],
    }


def _tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    """The file's byte-level tokenizer as the library `tokenizers` saves one: vocabulary, merges, control tokens."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    first, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    # A GGUF names its pre-tokenizer ("smollm") without describing it. SmolLM2 splits numbers into single digits first,
    # as llama.cpp's own reading of the same file does.
    splitting = [{"type": "Digits", "individual_digits": True}, byte_level | {"add_prefix_space": False}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **options}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == _CONTROL
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splitting},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first],
            "pair": [first, second],
            "special_tokens": {},
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(fields: dict[str, Any], special: dict[str, int]) -> dict[str, Any]:
    return {
        "backend": "tokenizers",
        "is_local": True,
        "local_files_only": False,
        "model_max_length": fields["llama.context_length"],
        "tokenizer_class": "TokenizersBackend",
        **{f"{name}_token": fields["tokenizer.ggml.tokens"][token] for name, token in special.items()},
    }


def _write_json(file: Path, content: dict[str, Any]) -> None:
    """As `save_pretrained` writes it, to the byte, but for its version of transformers, which nothing reads."""
    _write(file, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")  # the same bytes on Windows too


def main() -> int:
    """The child process of `labkit.weights.ensure`."""
    print(convert(Path(sys.argv[1]), Path(sys.argv[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
