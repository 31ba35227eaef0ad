"""What lessons offer as optional cells: 4-bit weights below an adapter (QLoRA), and trl's trainers."""

from __future__ import annotations

import json

import pytest
import tiny
import torch

from labkit.facts import teaching_data
from labkit.models import finetuning
from labkit.models.finetuning import adapters, preferences
from labkit.world import weights


def test_qlora_trains_an_adapter_over_frozen_4_bit_weights(tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    tiny.model().save_pretrained(tmp_path)
    options = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    bits = BitsAndBytesConfig(load_in_4bit=True, **options, bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=bits, dtype=torch.float32)
    model = adapters.with_adapter(model, rank=4, alpha=8)
    packed = {name: value.clone() for name, value in model.named_parameters() if value.dtype == torch.uint8}
    assert len(packed) == 14
    settings = finetuning.Settings(learning_rate=0.01, epochs=2)
    history = finetuning.train(model, tiny.examples(), settings, quiet=True, pad=2)
    assert sum(history.losses[-5:]) < sum(history.losses[:5])
    for name, value in model.named_parameters():
        assert name not in packed or torch.equal(value, packed[name])


def dataset(folder, rows):
    """`rows` as trl's trainers take them."""
    from datasets import Dataset

    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Dataset.from_json(str(folder / "data.jsonl"), cache_dir=str(folder))


@pytest.fixture
def rows():
    return teaching_data.load("notes", "train")[:4]


@pytest.mark.slow
def test_trls_trainer_masks_and_learns_the_same_examples(course_cache, tmp_path, rows):
    pytest.importorskip("trl", reason="trl is not installed: it is the extra `trl`")
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(weights.ensure())
    model = tiny.model(layers=1, vocabulary=len(tokenizer))
    data = [{"prompt": finetuning.messages(row)[:2], "completion": finetuning.messages(row)[2:]} for row in rows]
    settings = SFTConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    lora = LoraConfig(r=4, target_modules=list(finetuning.ATTENTION), task_type="CAUSAL_LM")
    options = {"args": settings, "train_dataset": dataset(tmp_path, data), "peft_config": lora}
    trainer = SFTTrainer(model=model, processing_class=tokenizer, **options)
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(4)])
    ours = [finetuning.encode(finetuning.messages(row), tokenizer) for row in rows]
    for labels, example in zip(batch["labels"].tolist(), ours, strict=True):
        theirs = [label for label in labels if label != -100]
        # trl counts the line break after the end token too.
        assert tokenizer.decode(theirs).rstrip("\n") == tokenizer.decode([t for t in example["labels"] if t != -100])
    assert trainer.train().training_loss > 0


def test_dpo_by_hand_has_the_loss_of_trls_trainer(course_cache, tmp_path):
    pytest.importorskip("trl", reason="trl is not installed: it is the extra `trl`")
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(weights.ensure())
    model = adapters.with_adapter(tiny.model(layers=1, vocabulary=len(tokenizer)), rank=4, alpha=8)
    rows = [
        {key: [{"role": role, "content": row[key]}] for key, role in (("prompt", "user"), *_ANSWERS)}
        for row in teaching_data.load("tone", "train")[:4]
    ]
    settings = DPOConfig(str(tmp_path), beta=0.3, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True)
    trainer = DPOTrainer(model, args=settings, train_dataset=dataset(tmp_path, rows), processing_class=tokenizer)
    # For its reference trl keeps the adapter as it was given: at zero, so the model without it. Only now it is filled.
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and ".default." in name:
            parameter.data = torch.randn_like(parameter)
    model.eval()
    theirs = trainer.compute_loss(model, trainer.data_collator([trainer.train_dataset[place] for place in range(4)]))
    pairs = []
    for row in rows:  # trl counts the line break after the end token too
        asked = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=True)["input_ids"]
        whole = [tokenizer.apply_chat_template(row["prompt"] + row[key])["input_ids"] for key, _ in _ANSWERS]
        pairs.append([{"input_ids": ids, "labels": [-100] * len(asked) + ids[len(asked) :]} for ids in whole])
    ours = preferences.dpo_loss(*preferences._four(model, pairs, 2), beta=0.3)
    assert ours.item() != pytest.approx(0.6931, abs=1e-3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


_ANSWERS = (("chosen", "assistant"), ("rejected", "assistant"))
