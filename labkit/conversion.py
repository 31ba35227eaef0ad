"""GGUF to safetensors, once, in a process of its own: `python -m labkit.conversion FILE.gguf FOLDER`.

transformers can read a GGUF directly, but takes half a minute and 1.2 GB each time, and loses a part of the tokenizer.
Doing it once in a child process keeps both out of the lesson's kernel. Knows nothing of the cache or of catalogues.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from labkit import memory


def convert(gguf: Path, folder: Path) -> None:
    """Write `folder`, ready for `from_pretrained`: fp32 weights de-quantized from `gguf`, tokenizer, chat template.

    Works with transformers 5.15, which always de-quantizes, and with the newest, which has to be asked to.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    options = {}
    try:
        from transformers import GgufConfig

        # Without it the loaded model still counts as quantized, and save_pretrained refuses to write it.
        options["quantization_config"] = GgufConfig(dequantize=True)
    except ImportError:
        pass
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, **options)
    special = _special_tokens(gguf)
    tokenizer = _tokenizer(source, special, context=memory.context_of(model.config))
    numbers = {f"{name}_token_id": special[name] for name in ("bos", "eos", "pad")}
    for name, token in numbers.items():
        setattr(model.config, name, token)
    model.generation_config = GenerationConfig(**numbers)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(source: dict[str, Any], special: dict[str, int], context: int) -> Any:
    """The GGUF's tokenizer, with what the conversion drops or mistakes put right: the same by any transformers."""
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(**source)
    # A GGUF names its pre-tokenizer ("smollm") without describing it, and transformers falls back to GPT-2's. SmolLM2
    # splits numbers into single digits first, as llama.cpp's own reading of the same file does.
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    # transformers 5.15 adds what SentencePiece vocabularies want: a decoder that turns the character U+2581 into a
    # space, and an unknown token in the place of a byte that has none.
    backend.decoder = Decoder()
    backend.model.byte_fallback = backend.model.fuse_unk = False
    backend.model.unk_token = None
    # ... and takes the start token for the end token, and has no padding token at all.
    for name, token in special.items():
        setattr(tokenizer, f"{name}_token", tokenizer.convert_ids_to_tokens(token))
    tokenizer.model_max_length = context
    return tokenizer


def _special_tokens(gguf: Path) -> dict[str, int]:
    """The ids of the start (bos), end (eos), padding and unknown tokens, as the file itself names them."""
    from gguf import GGUFReader

    fields = GGUFReader(gguf).fields
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    return {short: int(fields[f"tokenizer.ggml.{name}_token_id"].contents()) for short, name in names.items()}


def main() -> int:
    """The child process of `labkit.models.ensure`."""
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    convert(gguf, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
