"""GGUF to safetensors, once, in a process of its own: `python -m labkit.conversion FILE.gguf FOLDER`.

transformers can read a GGUF directly, but takes half a minute and 1.2 GB each time, and loses a part of the tokenizer.
Doing it once in a child process keeps both out of the lesson's kernel. Knows nothing of the cache or of catalogues.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path


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
    tokenizer = _tokenizer(source, context=model.config.max_position_embeddings)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(source: dict[str, object], context: int):
    """The GGUF's tokenizer, with what the conversion drops put back."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(**source)
    # A GGUF names its pre-tokenizer ("smollm") without describing it, and transformers falls back to GPT-2's. SmolLM2
    # splits numbers into single digits first, as llama.cpp's own reading of the same file does.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = context
    return tokenizer


def main() -> int:
    """The child process of `labkit.models.ensure`."""
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    convert(gguf, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
