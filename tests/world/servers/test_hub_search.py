"""Search on the local Hub, through the real client: every filter finds exactly what it should, or is refused."""

from __future__ import annotations

import contextlib
import inspect

import pytest
from huggingface_hub import HfApi, errors
from service_helpers import serving

from labkit.world.hub import answers, scratch
from labkit.world.hub import api as hub_api
from labkit.world.hub import repos as hub_repos
from labkit.world.hub.files import Repo, text_file

OWN = "course-examples/"
QUESTIONS, NOTES = f"{OWN}course-questions", f"{OWN}classroom-notes"


@pytest.fixture(scope="module")
def repos():
    return hub_repos.repositories()


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Serves repositories, with no learner's beside them, and gives a client for them."""
    with contextlib.ExitStack() as running:

        def start(repos) -> HfApi:
            empty = scratch.Scratch(tmp_path_factory.mktemp("scratch"))
            url = running.enter_context(serving(hub_api.application(repos, empty)))
            return HfApi(endpoint=url, token="hf_course_learner")

        yield start


@pytest.fixture(scope="module")
def api(serve, repos):
    return serve(repos)


def total(repo: Repo) -> int:
    return sum(repo.parameters.values())


# What each query means, said again in plain Python over the repositories themselves.
QUERIES = {
    "author": ({"author": "Qwen"}, lambda repo: repo.id.startswith("Qwen/")),
    "author in capitals": ({"author": "MISTRALAI"}, lambda repo: repo.id.startswith("mistralai/")),
    "search": ({"search": "llama-2"}, lambda repo: "llama-2" in repo.id.lower()),
    "licence": ({"filter": "license:mit"}, lambda repo: repo.card.get("license") == "mit"),
    "several filters": (
        {"filter": ["license:apache-2.0", "conversational", "qwen3"]},
        lambda repo: (
            repo.card.get("license") == "apache-2.0"
            and "conversational" in repo.card.get("tags", [])
            and repo.config.get("model_type") == "qwen3"
        ),
    ),
    "library": ({"filter": "peft"}, lambda repo: repo.card.get("library_name") == "peft"),
    "language": ({"filter": "en"}, lambda repo: "en" in repo.card.get("language", [])),
    "format": ({"filter": "pytorch"}, lambda repo: any(path.endswith(".bin") for path in repo.files)),
    "task": (
        {"pipeline_tag": "text-generation"},
        lambda repo: repo.card.get("pipeline_tag", "text-generation") == "text-generation",
    ),
    "another task": (
        {"pipeline_tag": "image-text-to-text"},
        lambda repo: repo.card.get("pipeline_tag") == "image-text-to-text",
    ),
    "gated": ({"gated": True}, lambda repo: repo.gated),
    "not gated": ({"gated": False}, lambda repo: not repo.gated),
    "size": ({"num_parameters": "min:1B,max:2B"}, lambda repo: 1e9 <= total(repo) <= 2e9),
    "at least": ({"num_parameters": "min:46.7B"}, lambda repo: total(repo) >= 46.7e9),
    "at most": ({"num_parameters": "max:500M"}, lambda repo: 0 < total(repo) <= 500e6),
    "data": ({"trained_dataset": QUESTIONS}, lambda repo: QUESTIONS in repo.card.get("datasets", [])),
    "any child": (
        {"filter": "base_model:meta-llama/Llama-2-7b-hf"},
        lambda repo: repo.card.get("base_model") == "meta-llama/Llama-2-7b-hf",
    ),
    "adapters": (
        {"filter": "base_model:adapter:HuggingFaceTB/SmolLM2-135M-Instruct"},
        lambda repo: "adapter_config.json" in repo.files,
    ),
    "served by any": ({"inference_provider": "all"}, lambda repo: repo.id == "HuggingFaceTB/SmolLM2-135M-Instruct"),
    "served by one of two": (
        {"inference_provider": ["groq", "scaleway"]},
        lambda repo: repo.id == "HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "warm": ({"inference": "warm"}, lambda repo: repo.id == "HuggingFaceTB/SmolLM2-135M-Instruct"),
    "all at once": (
        {
            "author": "HuggingFaceTB",
            "search": "instruct",
            "filter": ["license:apache-2.0", "llama"],
            "pipeline_tag": "text-generation",
            "gated": False,
            "num_parameters": "min:200M,max:1B",
        },
        lambda repo: repo.id == "HuggingFaceTB/SmolLM2-360M-Instruct",
    ),
}
EMPTY = {
    "nobody": {"author": "nobody"},
    "another task": {"pipeline_tag": "image-to-text"},
    "an app without its format": {"apps": "ollama"},
    "a contradiction": {"num_parameters": "min:2B,max:1B"},
    "a tag in other letters": {"filter": "license:MIT"},
    "carbon that no card tells": {"emissions_thresholds": (0, 100), "cardData": True},
}
REFUSED = [
    ({"inference_provider": "novita"}, "which models the provider 'novita' serves"),
    ({"inference_provider": ["groq", "novita"]}, "novita"),
    ({"apps": "vllm"}, "which models the app 'vllm' opens"),
    ({"num_parameters": "7B"}, "written as min:6B,max:8B"),
    ({"num_parameters": "min:-1B"}, "written as"),
    ({"num_parameters": "min:1B,,max:2B"}, "written as"),
    ({"sort": "downloads"}, "nobody counts them here"),
    ({"sort": "likes"}, "nobody counts them here"),
    ({"sort": "trending_score"}, "nobody counts them here"),
    ({"sort": "size"}, "cannot sort by 'size'"),
    ({"expand": ["downloads"]}, "cannot expand 'downloads'"),
    ({"expand": ["usedStorage"]}, "cannot expand 'usedStorage'"),
]


# Until huggingface_hub 2.0 there was a second way to search in names.
if "model_name" in inspect.signature(HfApi.list_models).parameters:
    QUERIES["name"] = ({"model_name": "zephyr"}, lambda repo: "zephyr" in repo.id.lower())
# How much is told, and how many: tested one by one below.
NOT_FILTERS = {"self", "token", "sort", "limit", "expand", "full", "cardData", "fetch_config"}


def ids(found) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize(("query", "wanted"), QUERIES.values(), ids=QUERIES)
def test_a_filter_finds_exactly_what_it_means(query, wanted, api, repos):
    expected = {repo.id for repo in repos.values() if repo.kind == "model" and wanted(repo)}
    found = ids(api.list_models(**query))
    assert set(found) == expected and len(found) == len(expected) >= 1


@pytest.mark.parametrize("find", ["list_models", "list_datasets"])
def test_no_filter_of_the_installed_client_is_left_out(find):
    of_models = [query for query, _ in QUERIES.values()] + list(EMPTY.values())
    tried = of_models if find == "list_models" else [query for query, _ in DATASETS.values()]
    known = {name for query in tried for name in query} | NOT_FILTERS
    assert set(inspect.signature(getattr(HfApi, find)).parameters) <= known


@pytest.mark.parametrize("query", EMPTY.values(), ids=EMPTY)
def test_nothing_is_found_where_there_is_nothing(query, api):
    assert ids(api.list_models(**query)) == []


@pytest.mark.parametrize(("query", "sentence"), REFUSED)
def test_what_cannot_be_answered_is_refused_in_a_sentence(query, sentence, api):
    with pytest.raises(errors.BadRequestError) as refused:
        ids(api.list_models(**query))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "task=text-generation",
        "library=peft",
        "gated=perhaps",
        "full=maybe",
        "limit=x",
        "limit=-1",
        "limit=²",
        "cursor=-1",
        "sort=",
    ],
)
def test_queries_that_the_client_does_not_send_are_not_ignored(query, api):
    from huggingface_hub.utils import get_session

    answer = get_session().get(f"{api.endpoint}/api/models?{query}")
    assert answer.status_code == 400 and "course's Hub" in answer.headers["x-hf-warning"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("models?expand=%E2%98%83", 400),
        ("models?apps=%0D%0AX-Own:%20yes", 400),
        ("models?sort=%F0%9F%98%80", 400),
        ("models?num_parameters=min:" + "9" * 400, 200),
        ("models?filter=%00", 200),
        ("models/owner/%E2%98%83", 404),
        ("models/owner/name%0D%0AX-Own:%20yes", 404),
    ],
)
def test_strange_letters_are_answered_in_order(path, status, api):
    from huggingface_hub.utils import get_session

    answer = get_session().get(f"{api.endpoint}/api/{path}", headers={"Authorization": f"Bearer {api.token}"})
    assert answer.status_code == status and "x-own" not in answer.headers
    assert status == 200 or answer.json()["error"] and answer.headers["X-Error-Message"].isascii()


# --- order, pages, and how much is told


@pytest.mark.parametrize("key", ["created_at", "last_modified"])
@pytest.mark.parametrize("find", ["list_models", "list_datasets"])
def test_the_newest_first_and_the_unknown_last(find, key, api):
    days = [getattr(one, key) for one in getattr(api, find)(sort=key, full=True)]
    known = [day for day in days if day]
    assert known and known == sorted(known, reverse=True) and days[: len(known)] == known


def test_pages_lead_on_under_a_filter_and_an_order(api, monkeypatch):
    query = {"filter": "safetensors", "sort": "created_at"}
    every = ids(api.list_models(**query))
    monkeypatch.setattr("labkit.world.hub.search.PAGE", 3)
    assert ids(api.list_models(**query)) == every and len(every) > 20
    assert ids(api.list_models(**query, limit=7)) == every[:7]
    assert ids(api.list_models(**query, limit=3)) == every[:3]


def test_how_much_is_told(api):
    repo = "HuggingFaceTB/SmolLM2-360M-Instruct"
    (short,), (full,), (data,), (config,) = (
        list(api.list_models(search=repo, author="HuggingFaceTB", **more))
        for more in ({}, {"full": True}, {"cardData": True}, {"fetch_config": True})
    )
    assert short.tags and short.pipeline_tag == "text-generation" and short.library_name == "transformers"
    assert short.sha is None and short.siblings is None and short.card_data is None and short.downloads is None
    assert full.sha and full.author == "HuggingFaceTB" and {file.rfilename for file in full.siblings} >= {"README.md"}
    assert full.card_data.license == "apache-2.0" and full.gated is False
    assert data.card_data.base_model == "HuggingFaceTB/SmolLM2-360M" and data.config is None
    assert config.config["model_type"] == "llama" and config.card_data is None


def test_expand_tells_what_was_asked_for(api):
    repo = "HuggingFaceTB/SmolLM2-360M-Instruct"
    wanted = ["safetensors", "baseModels", "childrenModelCount", "gated", "tags"]
    (found,) = api.list_models(search=repo, author="HuggingFaceTB", expand=wanted)
    assert found.safetensors.total == 361_821_120 and found.pipeline_tag is None
    assert found.base_models["relation"] == "finetune" and found.children_model_count == 1
    (served,) = api.list_models(inference="warm", expand=["inferenceProviderMapping", "inference"])
    assert {one.provider for one in served.inference_provider_mapping} >= {"groq", "hf-inference"}
    assert served.inference == "warm"


# --- data sets

DATASETS = {
    "all": ({}, {QUESTIONS, NOTES}),
    "author": ({"author": "course-examples"}, {QUESTIONS, NOTES}),
    "search": ({"search": "QUESTION"}, {QUESTIONS}),
    "two searches": ({"search": "course", "dataset_name": "notes"}, {NOTES}),
    "task": ({"task_categories": "question-answering"}, {QUESTIONS}),
    "finer task": ({"task_ids": "closed-domain-qa"}, {QUESTIONS}),
    "one language": ({"multilinguality": "monolingual"}, {QUESTIONS}),
    "who wrote it": ({"language_creators": ["expert-generated"]}, {QUESTIONS}),
    "two tasks": ({"task_categories": ["question-answering", "text-classification"]}, set()),
    "language": ({"language": "en"}, {QUESTIONS, NOTES}),
    "another language": ({"language": "fr"}, set()),
    "size": ({"size_categories": "n<1K"}, {QUESTIONS, NOTES}),
    "licence": ({"filter": ["license:cc-by-4.0", "language:en"]}, {QUESTIONS, NOTES}),
    "gated": ({"gated": True}, set()),
    "benchmark": ({"benchmark": "official"}, set()),
}


@pytest.mark.parametrize(("query", "wanted"), DATASETS.values(), ids=DATASETS)
def test_data_sets_are_found(query, wanted, api):
    assert set(ids(api.list_datasets(**query))) == wanted


def test_data_sets_tell_their_card_and_files(api):
    (found,) = api.list_datasets(search="questions", full=True)
    assert found.card_data.license == "cc-by-4.0" and found.card_data.pretty_name and found.sha
    assert {file.rfilename for file in found.siblings} == {"README.md", "data/test.jsonl", "data/train.jsonl"}
    (part,) = api.list_datasets(search="questions", expand=["tags"])
    assert "task_categories:question-answering" in part.tags and part.card_data is None
    for refused in ({"sort": "downloads"}, {"expand": ["citation"]}, {"expand": ["safetensors"]}):
        with pytest.raises(errors.BadRequestError):
            list(api.list_datasets(**refused))


def test_models_and_data_sets_do_not_mix(api):
    assert not set(ids(api.list_models())) & set(ids(api.list_datasets()))


def test_tags_of_both_by_type(api):
    models, data = api.get_model_tags(), api.get_dataset_tags()
    assert {tag["id"] for tag in models["license"]} >= {"license:apache-2.0", "license:mit", "license:gemma"}
    assert {tag["id"] for tag in models["library"]} >= {"transformers", "peft", "safetensors"}
    assert {tag["id"] for tag in models["dataset"]} == {f"dataset:{QUESTIONS}"}
    assert [tag["id"] for tag in models["language"]] == ["en"]
    assert {tag["label"] for tag in data["task_categories"]} == {"question-answering", "text-classification"}
    assert [tag["label"] for tag in data["size_categories"]] == ["n<1K"]


# --- many repositories


def test_facts_are_computed_once_for_many_repositories(serve, monkeypatch):
    """200 repositories: each described once, however often somebody searches. Time is measured by `labkit bench`."""
    made = [
        Repo(
            id=f"owner-{n % 7}/model-{n:03}",
            files=text_file("README.md", f"---\nlicense: mit\n---\n{n}"),
            card={"license": "mit", "library_name": "transformers", "pipeline_tag": "text-generation"},
            config={"model_type": "llama"},
            parameters={"BF16": n * 10_000_000},
            released=f"2025-{n % 12 + 1:02}",
        )
        for n in range(1, 201)
    ]
    api, described = serve({repo.key: repo for repo in made}), []
    whole = answers._facts
    monkeypatch.setattr(answers, "_facts", lambda repo: described.append(repo.id) or whole(repo))
    for _ in range(3):
        found = ids(api.list_models(filter="license:mit", num_parameters="min:1B", sort="created_at", full=True))
        assert len(found) == 101
    assert len(described) == len(set(described)) == 101
