"""The local Hub reads the head of a card as the real one does, and huggingface_hub's own validation reaches it."""

from __future__ import annotations

import time

import pytest
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, errors
from service_helpers import serving

from labkit.base.errors import LabError
from labkit.facts import cards
from labkit.world.hub import api as hub_api
from labkit.world.hub import card_metadata, scratch

HEAD = {
    "license": "apache-2.0",
    "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "datasets": ["open-models-lab/desks"],
    "language": ["en"],
    "pipeline_tag": "text-generation",
    "tags": ["lora"],
}
NAN = "{task: {type: t}, dataset: {type: d, name: n}, metrics: [{type: m, value: .nan}]}"
FIGURE = EvalResult("text-generation", "open-models-lab/desks", "desks", "exact_match", 0.8)


def card(**changes) -> ModelCard:
    head = ModelCardData(**(HEAD | changes), model_name="desks", eval_results=[FIGURE])
    return ModelCard(f"---\n{head.to_yaml()}\n---\n# Desks\n", ignore_metadata_errors=True)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(hub_api.application({}, scratch.Scratch(tmp_path_factory.mktemp("scratch")))) as url:
        yield url


@pytest.fixture
def local(address, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return address


def validate(one: ModelCard, local: str) -> None:
    """The client's own validation. 1.27 asks huggingface.co whatever it was told, so there it is sent on its way."""
    from huggingface_hub import repocard

    real = repocard.get_session

    class Here:
        def post(self, url: str, **options):
            return real().post(url.replace("https://huggingface.co", local), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repocard, "get_session", Here)
        one.validate()


def test_a_good_card_passes_the_clients_own_validation_and_the_courses(local):
    validate(card(), local)
    cards.require_valid(card())
    cards.require_valid(str(card()))
    assert card_metadata.validate(str(card())) == ([], [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"license": "Apache 2.0"}, '"license" must be one of'),
        ({"license": 3}, '"license" must be a string'),
        ({"language": "english"}, '"language" with value'),
        ({"language": ["en", 7]}, '"language" must be a string'),
        ({"base_model": "/home/somebody/models/mine"}, '"base_model" with value'),
        ({"base_model": "C:\\models\\mine"}, '"base_model" with value'),
        ({"datasets": ["a/b/c"]}, '"datasets" with value'),
        ({"pipeline_tag": ["text-generation"]}, '"pipeline_tag" must be a string'),
        ({"library_name": 4}, '"library_name" must be a string'),
    ],
)
def test_a_wrong_field_is_refused_and_named(local, changes, said):
    wrong = card(**changes)
    with pytest.raises(ValueError) as told:
        validate(wrong, local)
    assert said in str(told.value).replace('\\"', '"')
    with pytest.raises(LabError, match="The Hub does not take this card") as told:
        cards.require_valid(wrong)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("license: [mit", "not YAML"),
        ("- mit\n- en", "names with values"),
        ("license: mit\ntags: lora", '"tags" must be an array of strings'),
        ("license: mit\nmodel-index: 3", '"model-index" must be an array'),
        ("license: mit\nmodel-index: [3]", '"model-index[0].name" is required'),
        ("license: mit\nmodel-index: [{name: x}]", '"model-index[0].results" must be an array'),
        ("license: mit\nmodel-index: [{name: x, results: [3]}]", '"model-index[0].results[0].task.type" is required'),
        (
            "license: mit\nmodel-index: [{name: x, results: [{task: {type: t}, dataset: {type: d, name: d}, "
            "metrics: [{type: acc}]}]}]",
            '"model-index[0].results[0].metrics[0].value" is required',
        ),
    ],
)
def test_a_head_of_another_form_is_refused(head, said):
    found, _ = card_metadata.validate(f"---\n{head}\n---\n# x\n")
    assert any(said in one for one in found), found


def test_what_is_only_odd_is_a_warning():
    assert card_metadata.validate("# no head")[1] == ["empty or missing yaml metadata in repo card"]
    assert card_metadata.validate("---\n\n---\n# empty head")[0] == []
    assert card_metadata.validate("---\nlanguage: en\n---\n")[1] == ["The card has no license."]
    assert "license_name" in card_metadata.validate("---\nlicense: other\n---\n")[1][0]


def test_a_commit_with_a_wrong_card_changes_nothing(local):
    api = HfApi(endpoint=local, token="hf_course_learner")
    api.create_repo("learner/cards")
    before = api.model_info("learner/cards").sha
    wrong = str(card(license="my own")).encode()
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        api.upload_file(path_or_fileobj=wrong, path_in_repo="README.md", repo_id="learner/cards")
    # A program that does not ask first is refused by the commit itself.
    lines = [
        {"key": "header", "value": {"summary": "A card"}},
        {"key": "file", "value": {"path": "README.md", "content": _base64(wrong), "encoding": "base64"}},
    ]
    with pytest.raises(errors.HfHubHTTPError, match="license"):
        _commit(api, "learner/cards", lines)
    assert api.model_info("learner/cards").sha == before
    api.upload_file(path_or_fileobj=str(card()).encode(), path_in_repo="README.md", repo_id="learner/cards")
    assert api.model_info("learner/cards").card_data.license == "apache-2.0"


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()


def _commit(api: HfApi, repo: str, lines: list[dict]) -> None:
    import json

    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    body = "\n".join(json.dumps(line) for line in lines).encode()
    url = f"{api.endpoint}/api/models/{repo}/commit/main"
    headers = build_hf_headers(token=api.token) | {"Content-Type": "application/x-ndjson"}
    hf_raise_for_status(get_session().post(url, content=body, headers=headers))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("---\nlicense: mit\ntags: [a]\n---\n# x\n\n---\nno: head\n---\n", {"license": "mit", "tags": ["a"]}),
        ("---\r\nlicense: mit\r\n---\r\n# x\r\n", {"license": "mit"}),  # as Windows ends lines
        ("license: mit\n", {}),  # a text without a head is all text
        ("---\n- a\n---\n", {}),
        ("---\na: [\n---\n", {}),
        ("", {}),
    ],
)
def test_the_metadata_of_a_card(content, found):
    assert card_metadata.metadata(content) == found


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (f"model-index: [{{name: x, results: [{NAN}]}}]", "model-index"),
        ("extra: !!binary aGVsbG8=", "extra"),
        ("extra: !!set {a, b}", "extra"),
        ("extra: .inf", "extra"),
        ('extra: "\\uD800"', "extra"),
        ("extra: &a [*a]", "extra"),
        ("? [1, 2]\n: x", "unhashable"),
        ("date: 2026-02-31", None),
        ("size_categories: 5\ntask_categories: {a: 1}", None),
    ],
)  # fmt: skip
def test_a_card_that_could_not_be_shown_again_is_refused_with_the_fields_name(local, head, name):
    api = HfApi(endpoint=local, token="hf_course_learner")
    for kind in ("model", "dataset"):
        repo = api.create_repo("learner/breaks", repo_type=kind, exist_ok=True).repo_id
        send = {"path_or_fileobj": f"---\nlicense: mit\n{head}\n---\n# X\n".encode(), "path_in_repo": "README.md"}
        if name is None:
            api.upload_file(repo_id=repo, repo_type=kind, **send)
        else:
            with pytest.raises((errors.HfHubHTTPError, ValueError), match=name):
                api.upload_file(repo_id=repo, repo_type=kind, **send)
        assert api.repo_info(repo, repo_type=kind).card_data is not None or name
    assert [one.id for one in api.list_models(author="learner", full=True)] and list(
        api.list_datasets(author="learner")
    )


def test_what_came_in_another_way_is_readable_all_the_same(local):
    """Files that the Hub does not look at before they are committed."""
    api = HfApi(endpoint=local, token="hf_course_learner")
    repo = api.create_repo("learner/odd", exist_ok=True).repo_id
    header = b'{"a": {"dtype": "F32", "shape": ["x", -1]}, "b": {"dtype": "F32", "shape": [2, 3]}}'
    config = b'{"model_type": ["x"], "architectures": [NaN], "quantization_config": {"bits": 1e999}}'
    for path, content in (("config.json", config), ("m.safetensors", len(header).to_bytes(8, "little") + header)):
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo)
    assert api.model_info(repo).safetensors.total == 6 and list(api.list_models(author="learner", full=True))


def test_a_few_lines_of_aliases_do_not_keep_the_hub_busy(local):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    began = time.process_time()
    (said,), _ = card_metadata.validate("---\n" + "\n".join(lines) + "\n---\n")
    assert "more than 10 aliases" in said and time.process_time() - began < 2
