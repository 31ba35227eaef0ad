"""GGUF to safetensors, once, in a process of its own: `python -m labkit.world.conversion FILE.gguf FOLDER`.

Straight from the file: its tensors, de-quantized, and its metadata as the JSON that `from_pretrained` reads. It is what
transformers' own way would give, in a fifth of the time, and without the part of the tokenizer that is lost there. The
child process keeps what it takes, 0.8 GB, out of the lesson's kernel. Knows nothing of the cache or of catalogues.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
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


def convert(gguf: Path, folder: Path) -> None:
    """Write `folder`, ready for `from_pretrained`: fp32 weights de-quantized from `gguf`, tokenizer, chat template.

    `gguf` is a Llama model with a byte-level tokenizer, as the course's is. The weights come last, when all else is
    there.
    """
    from safetensors.numpy import save_file

    reader = read(gguf)
    tensors = weights(reader)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    # 150 MB: a reader holds each of 100,000 tokens and merges as arrays of its own.
    reader.fields.clear()
    special = {name: fields[f"tokenizer.ggml.{theirs}_token_id"] for name, theirs in _SPECIAL.items()}
    ids = {f"{name}_token_id": token for name, token in special.items()}
    folder.mkdir(parents=True, exist_ok=True)
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    _write_json(folder / "config.json", _config(fields) | ids | {"tie_word_embeddings": tied} | _version())
    generation = {name: token for name, token in ids.items() if name != "unk_token_id"}
    _write_json(folder / "generation_config.json", generation | _version())
    _tokenizer(fields).save(str(folder / "tokenizer.json"), pretty=True)
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(fields, special))
    _write(folder / "chat_template.jinja", fields["tokenizer.chat_template"])
    del fields
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def read(file: Path) -> GGUFReader:
    """A reader of a GGUF file's fields and tensors; LabError if it is none, or not whole. It takes seconds."""
    from gguf import GGUFReader

    try:
        return GGUFReader(file)
    except (OSError, ValueError, KeyError, IndexError) as problem:
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


def _tokenizer(fields: dict[str, Any]) -> Any:
    """The file's byte-level tokenizer: its vocabulary, merges and control tokens."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from tokenizers.processors import TemplateProcessing

    tokens, merges = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.merges"]
    tokenizer = Tokenizer(
        BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in merges],
            continuing_subword_prefix="",
            end_of_word_suffix="",
        )
    )
    # A GGUF names its pre-tokenizer ("smollm") without describing it. SmolLM2 splits numbers into single digits first,
    # as llama.cpp's own reading of the same file does.
    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = Decoder()
    tokenizer.post_processor = TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    kinds = fields["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer


def _tokenizer_config(fields: dict[str, Any], special: dict[str, int]) -> dict[str, Any]:
    return {
        "backend": "tokenizers",
        "is_local": True,
        "local_files_only": False,
        "model_max_length": fields["llama.context_length"],
        "tokenizer_class": "TokenizersBackend",
        **{f"{name}_token": fields["tokenizer.ggml.tokens"][token] for name, token in special.items()},
    }


def _version() -> dict[str, str]:
    return {"transformers_version": metadata.version("transformers")}


def _write_json(file: Path, content: dict[str, Any]) -> None:
    """As `save_pretrained` writes it, to the byte."""
    _write(file, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")  # the same bytes on Windows too


def main() -> int:
    """The child process of `labkit.weights.ensure`."""
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
