"""Ways around faults of other packages that would stop a lesson or fill it with warnings.

Nothing is installed, removed or changed on disk: only this process is affected. Each entry says where the fault was
seen, so that it can be removed when nobody meets it any more. Knows other packages' versions. Knows no lesson.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from importlib import metadata

# peft 0.20 stops with an ImportError at every new adapter when it finds a torchao older than this.
_TORCHAO = (0, 16)


def apply() -> None:
    """Apply all workarounds in this process. Quick; imports none of those packages; safe to call again."""
    # peft imports bitsandbytes, which on some CPUs warns that a faster kernel could be fetched.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # peft 0.21 uses a name that transformers 5.23 has changed; a learner can do nothing about that.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    # transformers 5.24 renamed `past_key_values` to `cache`. Lessons use the old name, the only one in Colab's 5.15.
    warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
    logging.getLogger("transformers.utils.generic").addFilter(_without_renamed_cache)
    _hide_old_torchao()


def avoid_cudnn_attention() -> None:
    """Before training: have attention computed by another of torch's kernels than cuDNN's, with the same result.

    On H100 and H200 cuDNN's kernel gives gradients of NaN for texts that are padded to 64, 192, 320 ... tokens (torch
    2.11 to 2.13; seen on an H200 in lesson 09, 2026-11-26). Without a GPU this changes nothing.
    https://github.com/pytorch/pytorch/issues/196678
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def _without_renamed_cache(record: logging.LogRecord) -> bool:
    """A logging filter: drops the message about the KV cache's new name."""
    return "`past_key_values`/`cache_params` are deprecated" not in record.getMessage()


def _hide_old_torchao() -> None:
    """Colab has torchao 0.10 beside peft 0.20 (2026-08-19). Python takes a module that is None for one that is missing.

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
