"""labkit: the helper package of the Open Models Lab.

It hides only what is not the lesson: where am I running, where do the weights come from, checks, widgets, plots.
Importing it costs milliseconds and loads no torch: everything below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The table of contents: each public name, and where it lives: a module of this package, or a name in one.
_CONTENTS = {
    # a lesson begins and ends
    "start": "lessons.session:start",  # the first cell of every lesson
    "Lab": "lessons.session:Lab",  # what it returns: machine, model, world
    "LabError": "base.errors:LabError",  # what went wrong, and what to do
    "exercises": "lessons.exercises",  # questions, checks, hints, solutions
    "____": "lessons.exercises.coded:____",  # the blank to fill in
    "progress": "lessons.progress",  # what the learner has done
    "widgets": "lessons.widgets",  # controls to play with, one call each
    # models at work
    "local": "models.local",  # load, chat, stream, measure
    "sampling": "models.sampling",  # the next token: temperature, top-p, penalties
    "families": "models.families",  # LLaMA, Mistral and Mixtral, with real weights
    "quantization": "models.quantization",  # fewer bits, by hand and by library
    "evaluation": "models.evaluation",  # perplexity, tasks, speed
    "finetuning": "models.finetuning",  # LoRA, the training loop, scores
    "retrieval": "models.retrieval",  # find the passage that answers a question
    "judging": "models.judging",  # blind votes between two models
    "project": "models.capstone",  # the learner's own project of the last lesson
    # the world around a lesson
    "weights": "world.weights",  # where weights come from
    "hub": "world.hub_client",  # the Hub that the libraries ask; a search as a table
    "inference": "world.inference_client",  # Inference Providers: what is sent, what it costs
    "model_server": "world.model_server.service:model_server",  # llama.cpp behind the OpenAI protocol
    "services": "world.services",  # the processes of the local world: leave and stop them
    "privacy": "world.privacy",  # who was connected to
    # facts
    "catalogue": "facts.catalogue",  # models, each fact with source and date
    "memory": "facts.memory",  # bytes of weights, KV cache and training
    "planning": "facts.planning",  # what fits this machine
    "tokens": "facts.tokens",  # tokens, counted and shown
    "licences": "facts.licences",  # what may be done with a model
    "pricing": "facts.pricing",  # dollars by the token, and since when
    "budget": "facts.budget",  # what a month of answers costs, four ways
    "cards": "facts.cards",  # model cards: written and checked
    "teaching_data": "facts.teaching_data",  # the course's own notes and messages
    # what all stand on
    "assets": "base.assets",  # the course's files
    "cache": "base.cache",  # the learner's folder for weights and progress
    "machine": "base.machine",  # processor, GPU, memory
    "doctor": "front.doctor",  # is this machine ready?
}

if TYPE_CHECKING:
    from labkit.base.errors import LabError
    from labkit.lessons.exercises.coded import ____
    from labkit.lessons.session import Lab, start

__all__ = ["Lab", "LabError", "____", "start"]


def __getattr__(name: str) -> Any:
    if name not in _CONTENTS:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    module, _, attribute = _CONTENTS[name].partition(":")
    value = importlib.import_module(f"labkit.{module}")
    value = getattr(value, attribute) if attribute else value
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_CONTENTS})
