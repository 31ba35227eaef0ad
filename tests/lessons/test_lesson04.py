"""What lesson 04 says of huggingface_hub, held against the library itself."""

import re

import huggingface_hub
import nbformat
import pytest

from labkit.base import assets

(FILE,) = assets.notebook_dir().glob("04_*.ipynb")
CELLS = {cell.id: cell.source for cell in nbformat.read(FILE, 4).cells}


@pytest.mark.skipif(huggingface_hub.__version__.startswith("1."), reason="the lesson speaks of huggingface_hub 2.4")
def test_who_serves_embeddings():
    from huggingface_hub.inference._providers import PROVIDERS

    serving = {name for name, tasks in PROVIDERS.items() if "feature-extraction" in tasks}
    (sentence,) = re.findall(r"[^.]*four providers for them[^.]*\.", CELLS["s6-embeddings"].replace("2.4", "2"))
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == serving and len(serving) == 4
