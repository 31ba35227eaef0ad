"""The local Hub reads the head of a card as the real one does, and huggingface_hub's own validation reaches it."""

from __future__ import annotations

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
