"""What would get in the way of a lesson on a machine that others have furnished, and a way around it.

Nothing is installed, removed or changed on disk: only this process looks past it. Each entry says where it was seen, so
that it can go when nobody meets it any more. Knows other packages' versions. Knows nothing of lessons.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from importlib import metadata

# peft 0.20 does not go on without a torchao below this: it stops with an ImportError at every new adapter.
_TORCHAO = (0, 16)


def apply() -> None:
    """Make this process look past all of them. Quick; imports none of those packages; safe to call again."""
    # peft imports bitsandbytes, which on some CPUs warns that a faster kernel could be fetched.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # peft 0.21 still asks for a name that transformers 5.23 has renamed, and a learner can do nothing about it.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    # transformers 5.24 calls `past_key_values` `cache`. Colab's 5.15 knows the old name only, and so do the lessons.
    warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
    logging.getLogger("transformers.utils.generic").addFilter(_without_renamed_cache)
    _look_past_old_torchao()


def avoid_cudnn_attention() -> None:
    """Before training: attention is computed by torch's other kernels, with the same result.

    On H100 and H200, cuDNN's gives gradients that are no numbers when a text is padded to 64 tokens, or to 192, 320 and
    so on (torch 2.11 to 2.13; met on an H200 in lesson 09, 2026-11-26). Without a GPU this changes nothing.
    https://github.com/pytorch/pytorch/issues/196678
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def _without_renamed_cache(record: logging.LogRecord) -> bool:
    """For logging: everything but the words about the KV cache's new name."""
    return "`past_key_values`/`cache_params` are deprecated" not in record.getMessage()


def _look_past_old_torchao() -> None:
    """Colab has torchao 0.10 beside peft 0.20 (2026-08-19). To Python a module that is None is one that is not there.

    (peft: import_utils.py, is_torchao_available, read 2026-11-25. No lesson needs torchao in its own process.)
    """
    if "torchao" in sys.modules:
        return
    try:
        found = re.match(r"(\d+)\.(\d+)", metadata.version("torchao"))
    except metadata.PackageNotFoundError:
        return
    if found and (int(found[1]), int(found[2])) < _TORCHAO:
        sys.modules["torchao"] = None  # type: ignore[assignment]
