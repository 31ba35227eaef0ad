"""Which Inference Providers the local world has, and for what: the Hub tells it, the gateway keeps to it.

Each stands in for a provider of that name; all of them are the course's gateway, which runs the course model and no
other. Knows names and tasks of the protocol (huggingface_hub 2.4). Knows nothing of how a request is answered.
"""

from __future__ import annotations

from labkit.facts import catalogue

# The first is what the client takes for provider="auto", but for chat, where the router itself chooses. The protocol
# has one task a provider here; of hf-inference the client knows all tasks by itself.
PROVIDERS = {
    "hf-inference": "conversational",
    "groq": "conversational",
    "together": "conversational",
    "featherless-ai": "text-generation",
    "scaleway": "feature-extraction",
}
# What may stand in a provider's place behind the colon of `MODEL:...`, for the router to choose by (Hugging Face,
# Inference Providers, 2026-08). They change nothing here: there is one machine.
POLICIES = ("fastest", "cheapest", "preferred")


def course_model() -> str:
    """The repository id of the one model that the local world answers for."""
    return catalogue.get(catalogue.DEFAULT).repo_id


def mapping(repo_id: str) -> dict[str, dict[str, str]]:
    """The `inferenceProviderMapping` of a repository: nobody serves another than the course model."""
    if repo_id.lower() != course_model().lower():
        return {}
    shared = {"status": "live", "providerId": course_model()}
    return {name: {**shared, "task": task} for name, task in PROVIDERS.items()}
