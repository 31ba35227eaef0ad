"""The course model as transformers would have converted it, to the byte, in seconds and without loading torch."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.base.errors import LabError
from labkit.base.process_memory import Peak
from labkit.world import conversion
from labkit.world import weights as models

# What transformers 5.24 wrote when the conversion still went through it (2026-11-27).
WEIGHTS = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
TEXTS = {
    "chat_template.jinja": "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
    "tokenizer.json": "e9f1b9eb29e5f4fc508736f874cc7d1321834fb5610e169fb1acae231472321b",
    "tokenizer_config.json": "cf4fe8e21560420086fb9e3809665276d3f6e315db19c75be1dba3866c7090ec",
    "config.json": "8e7955e0774d472f03e08cb5ec79e478ddc8bd75431d7f5d9cae482a66f3cc06",
    "generation_config.json": "201565684df1a6b04c5ddbef764c8292c4591aa0101d1f070dd7c51982da1cf2",
}
CONVERT = """
import sys
from pathlib import Path
from labkit.world import conversion
conversion.convert(Path(sys.argv[1]), Path(sys.argv[2]))
print({"torch", "transformers", "tokenizers", "safetensors"} & set(sys.modules))
"""


def test_it_writes_what_transformers_wrote_in_little_memory_and_without_torch(course_cache, tmp_path):
    """Loading torch and transformers alone would cost more than all the rest."""
    folder = tmp_path / "safetensors"
    command = [sys.executable, "-c", CONVERT, str(models.gguf_file()), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = Peak(child.pid)
    peak.start()
    output, complaints = child.communicate(timeout=200)
    assert peak.stop() < 0.6e9
    assert (output, complaints) == ("set()\n", "")
    with (folder / "model.safetensors").open("rb") as weights:
        assert hashlib.file_digest(weights, "sha256").hexdigest() == WEIGHTS
    for name, expected in TEXTS.items():
        content = (folder / name).read_bytes()
        if name in ("config.json", "generation_config.json"):
            whole = json.loads(content) | {"transformers_version": "5.24.0"}
            content = json.dumps(whole, indent=2, sort_keys=True).encode() + b"\n"
        assert hashlib.sha256(content).hexdigest() == expected, name


@pytest.mark.weekly
def test_transformers_own_way_gives_the_same_model(course_cache):
    """Weights, configuration, vocabulary and chat template. What it loses of the tokenizer is in `test_models`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, gguf, options = models.ensure(quiet=True), models.gguf_file(), {}
    try:
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    except ImportError:
        pass  # transformers 5.15 always de-quantizes
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    theirs = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, **options)
    ours = AutoModelForCausalLM.from_pretrained(folder)
    expected, found = theirs.state_dict(), ours.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(weights, found[name]) for name, weights in expected.items())
    assert ours.lm_head.weight.data_ptr() == ours.model.embed_tokens.weight.data_ptr()
    # The file names the tokens that generation needs; their way leaves them out, or mistakes one for another.
    apart = {"bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "quantization_config", "_name_or_path"}
    apart |= {"architectures", "transformers_version"}
    configs = [model.config.to_dict() for model in (ours, theirs)]
    ours_only, theirs_only = ({key: config[key] for key in config if key not in apart} for config in configs)
    assert ours_only == theirs_only
    ours, theirs = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(**source)
    assert type(ours) is type(theirs) and ours.chat_template == theirs.chat_template
    ours, theirs = (json.loads(each.backend_tokenizer.to_str()) for each in (ours, theirs))
    assert ours["model"]["vocab"] == theirs["model"]["vocab"] and ours["model"]["merges"] == theirs["model"]["merges"]
    assert ours["added_tokens"] == theirs["added_tokens"]


def test_another_architecture_is_refused(tmp_path):
    from gguf import GGUFWriter

    file = tmp_path / "other.gguf"
    writer = GGUFWriter(file, "gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(LabError, match=r"other.gguf is not a Llama model"):
        conversion.weights(conversion.read(file))
    with pytest.raises(LabError, match=r"README.md cannot be read as GGUF"):
        conversion.read(Path(__file__).parents[1] / "README.md")


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_file_is_read_as_gguf_reads_it_and_half_of_it_is_refused(tmp_path, order):
    import numpy as np
    from gguf import GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

    file = tmp_path / "small.gguf"
    writer = GGUFWriter(file, "llama", endianess=GGUFEndian[order.upper()])
    writer.add_array("texts", ["", "Straße", "東京 🙂", "end"])
    writer.add_array("numbers", [1, -2, 3])
    writer.add_array("floats", [0.5, -1.5])
    writer.add_array("booleans", [True, False])
    writer.add_key_value("nested", [[1, 2], [3]], GGUFValueType.ARRAY, GGUFValueType.ARRAY)
    writer.add_string("after", "the lists")
    writer.add_tensor("blk.0.attn_norm.weight", np.arange(64, dtype=np.float32))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()

    def content(reader):
        fields = {name: (field.types, field.contents()) for name, field in reader.fields.items()}
        return fields, [(tensor.name, tensor.tensor_type, tensor.data.tolist()) for tensor in reader.tensors]

    assert content(conversion.read(file)) == content(GGUFReader(file))
    for size in range(30, file.stat().st_size - 1, 40):
        half = tmp_path / f"{size}.gguf"
        half.write_bytes(file.read_bytes()[:size])
        with pytest.raises(LabError, match="cannot be read as GGUF"):
            conversion.read(half)
