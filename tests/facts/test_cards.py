"""The linter of model cards: a good card passes, and each thing that a bad one lacks is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit.base.errors import LabError
from labkit.facts import cards, licences

GOOD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
datasets:
- open-models-lab/notes
language:
- en
pipeline_tag: text-generation
library_name: peft
tags:
- lora
---
# Notes to JSON

An adapter for SmolLM2-135M-Instruct that writes short notes as JSON with three keys.

## Intended use

Notes of one sentence with a name, an amount and a day, in English.

## Training data

144 notes written for a course on open language models, under CC BY 4.0.

## Evaluation

Exact match on 200 notes with new names: 94 %, 95 % interval 89 to 96 %.

```
# this is no heading
```

## Limits

One amount, no typing errors, no missing values; what it forgot is 3 points of 40 questions.
"""
DATA = {"open-models-lab/notes": "cc-by-4.0"}


def problems(text: str, **options) -> list[str]:
    found = cards.check(text, **({"data_licences": DATA} | options))
    return [f"{finding.where}: {finding.message}" for finding in found if finding.level == "problem"]


def test_a_good_card_has_no_problem_and_huggingface_hub_reads_it():
    found = cards.check(GOOD, data_licences=DATA)
    assert cards.is_ready(found), found
    assert cards.load(GOOD).data.license == "apache-2.0"
    assert [finding.where for finding in found] == ["datasets"]  # CC BY: name the makers


@pytest.mark.parametrize(
    "field", ["license", "base_model", "datasets", "language", "pipeline_tag", "library_name", "tags"]
)
def test_each_required_field_is_missed(field):
    head, body = GOOD[4:].split("\n---\n")
    lines, skipping = [], False
    for line in head.splitlines():
        skipping = line.startswith(f"{field}:") or (skipping and line.startswith("- "))
        lines += [] if skipping else [line]
    text = "---\n" + "\n".join(lines) + "\n---\n" + body
    assert any(found.startswith(f"{field}: the field is missing") for found in problems(text))


@pytest.mark.parametrize("heading", ["Intended use", "Training data", "Evaluation", "Limits"])
def test_each_section_is_missed_and_must_say_something(heading):
    assert any("there is no such section" in found for found in problems(GOOD.replace(f"## {heading}", "## Colours")))
    start = GOOD.index(f"## {heading}") + len(f"## {heading}")
    end = GOOD.find("\n## ", start)
    empty = GOOD[:start] + "\n\nIt is fine.\n" + (GOOD[end:] if end > 0 else "")
    assert any("say too little" in found for found in problems(empty))


def test_an_evaluation_has_a_number():
    words = "It was measured on many notes with new names and is very good indeed."
    start, end = GOOD.index("Exact match on"), GOOD.index("```\n#")
    assert any("there is no number" in found for found in problems(GOOD[:start] + words + "\n\n" + GOOD[end:]))


@pytest.mark.parametrize(("value", "ready"), [(0.94, True), (94, True), ("exact_match", False), (True, False)])
def test_a_figure_in_the_head_is_a_number(value, ready):
    from huggingface_hub import EvalResult

    card = cards.load(GOOD)
    card.data.model_name = "notes-to-json"
    card.data.eval_results = [EvalResult("text-generation", "someone/notes", "notes", "exact_match", value)]
    found = [finding.where for finding in cards.check(card, data_licences=DATA) if finding.level == "problem"]
    assert found == ([] if ready else ["model-index"])


@pytest.mark.parametrize("text", ["[More Information Needed]", "TODO", "____"])
def test_placeholders_are_found(text):
    assert any("placeholder" in found for found in problems(GOOD + f"\n\n{text}\n"))


@pytest.mark.parametrize(
    ("base", "own", "found"),
    [
        ("meta-llama/Llama-2-7b-hf", "mit", "goes along"),
        ("meta-llama/Llama-2-7b-hf", "llama2", ""),
        ("google/gemma-3-270m-it", "apache-2.0", "goes along"),
        ("google/gemma-3-270m-it", "gemma", ""),
        ("mistralai/Mistral-7B-v0.1", "apache-2.0", ""),
    ],
)
def test_a_licence_is_inherited_from_the_base_model(base, own, found):
    text = GOOD.replace("HuggingFaceTB/SmolLM2-135M-Instruct", base).replace("apache-2.0", own)
    text = text.replace("SmolLM2-135M-Instruct", base.split("/")[1])
    said = " ".join(problems(text))
    assert (found in said) if found else not said, said


def test_data_that_may_not_be_sold_does_not_go_under_a_licence_that_allows_it():
    found = problems(GOOD, data_licences={"open-models-lab/notes": "cc-by-nc-4.0"})
    assert any("forbids selling" in one for one in found)
    own = GOOD.replace("license: apache-2.0", "license: other\nlicense_name: mine\nlicense_link: LICENSE")
    assert not problems(own, data_licences={"open-models-lab/notes": "cc-by-nc-4.0"})  # nobody here has read that one
    text = GOOD.replace("license: apache-2.0", "license: cc-by-nc-4.0")
    assert not problems(text, data_licences={"open-models-lab/notes": "cc-by-nc-4.0"})


def test_a_licence_may_forbid_to_publish_what_was_made_of_a_model():
    terms = licences.get("llama2")  # none of those that were read so far forbids it
    use = replace(terms.uses["fine_tune_and_publish"], value="no")
    terms = replace(terms, uses=terms.uses | {"fine_tune_and_publish": use})
    found = list(cards._against("someone/model", terms, "llama2", "mine"))
    assert [finding.message for finding in found if finding.level == "problem"] == [
        f"{terms.title} of someone/model does not let you publish what you made of it."
    ]


def test_what_the_linter_does_not_know_is_a_note_not_a_silence():
    found = cards.check(GOOD.replace("HuggingFaceTB/SmolLM2-135M-Instruct", "someone/own-model"))
    assert {"base_model", "datasets"} <= {finding.where for finding in found if finding.level == "note"}
    other = problems(GOOD.replace("apache-2.0", "other"))
    assert any("license_name and license_link" in one for one in other)


def test_the_text_names_the_base_model():
    assert any(
        "does not say" in found for found in problems(GOOD.replace("An adapter for SmolLM2-135M-Instruct", "One"))
    )


def test_a_card_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(LabError, match="between the two lines"):
        cards.check("---\nlicense: [unclosed\n---\n# x\n")
    with pytest.raises(LabError, match="cannot be read"):
        cards.check(tmp_path / "README.md")
    (tmp_path / "README.md").write_text(GOOD, encoding="utf-8")
    assert cards.is_ready(cards.check(tmp_path / "README.md", data_licences=DATA))
    assert not cards.is_ready(cards.check("no head at all"))
    assert not cards.is_ready(cards.check(""))


def test_what_should_stay_at_home_is_found(tmp_path):
    (tmp_path / "README.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "model.gguf").write_bytes(b"GGUF /home/ann/secret")  # no text: not read
    config = tmp_path / "adapter_config.json"
    config.write_text('{"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct"}', encoding="utf-8")
    assert cards.check_files(tmp_path) == []
    for place in ("/srv/models/SmolLM2", "models/deep/SmolLM2", "C:\\\\models\\\\mine", "."):
        config.write_text(f'{{"base_model_name_or_path": "{place}"}}', encoding="utf-8")
        assert "which nobody else has" in cards.check_files(tmp_path)[0].message
    config.write_text("{", encoding="utf-8")
    assert not cards.is_ready(cards.check_files(tmp_path))
    assert cards.check_files(tmp_path, ["README.md"]) == []
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "run.json").write_text('{"out": "/home/ann/runs", "key": "hf_' + "a" * 30 + '"}', "utf-8")
    (tmp_path / "old.bin").write_bytes(b"")
    said = {finding.where: finding.message for finding in cards.check_files(tmp_path)}
    assert "pickle" in said["old.bin"] and "token: hf_aaa" in said["deep/run.json"]
    assert any("'/home/ann'" in finding.message for finding in cards.check_files(tmp_path))
    with pytest.raises(LabError, match="no file nothing.txt"):
        cards.check_files(tmp_path, ["nothing.txt"])


def test_what_peft_saves_by_itself_is_noticed(tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes)).save_pretrained(tmp_path / "base")
    model = get_peft_model(LlamaForCausalLM.from_pretrained(tmp_path / "base"), LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(tmp_path / "mine")
    assert any(finding.where == "adapter_config.json" for finding in cards.check_files(tmp_path / "mine"))
    assert not cards.is_ready(cards.check(tmp_path / "mine" / "README.md"))
    model.peft_config["default"].base_model_name_or_path = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model.save_pretrained(tmp_path / "again", save_embedding_layers=False)  # else it asks the Hub about the base model
    (tmp_path / "again" / "README.md").write_text(GOOD, encoding="utf-8")
    assert cards.check_files(tmp_path / "again") == []
