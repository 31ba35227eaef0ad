"""The exercises of lesson 01, What open models are."""

from __future__ import annotations

import re
from typing import Any

from labkit.lessons.exercises.coded import Coded, a_kind, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open

# An answer may be rounded to three digits, as the lesson prints such numbers: 45.1e9.
_ROUNDED = 0.005


class CountMixtral(Coded):
    """Total and active parameters of the experts of Mixtral-8x7B, from its configuration."""

    number = "01.1"
    title = "Count Mixtral's experts"
    names = ("total", "active")
    hints = (
        "One expert is an MLP of three matrices (gate, up, down), each hidden × intermediate numbers.",
        "Multiply by the experts of a layer and by the layers. For `active`, a token visits 2 experts in place of 8.",
        "3 × 4096 × 14336 numbers an expert; 32 layers; 8 experts or 2.",
    )
    code = """
expert = 3 * 4096 * 14336
total = 32 * 8 * expert
active = 32 * 2 * expert
"""
    why = (
        "45.1 billion of Mixtral's 46.7 billion parameters are experts, and a token computes with a quarter of them, "
        "11.3 billion. Everything must be in memory; only a part is read for each token."
    )
    also_correct = (
        "layers, hidden, middle = 32, 4096, 14336\n"
        "active = sum(3 * hidden * middle for _ in range(layers * 2))\ntotal = active * 4",
        "total, active = 45.1e9, 11.3e9",
    )
    mistakes = (
        ("total, active = 32 * 8 * 4096 * 14336, 32 * 2 * 4096 * 14336", "three matrices"),
        ("total, active = 8 * 3 * 4096 * 14336, 2 * 3 * 4096 * 14336", "32 layers"),
        ("total, active = 32 * 8 * 3 * 4096 * 14336, 32 * 3 * 4096 * 14336", "2 of the 8"),
        ("total, active = 32 * 8 * 3 * 4096 * 14336, 32 * 8 * 3 * 4096 * 14336", "2 of the 8"),
        ("total, active = 8 * 7e9, 2 * 7e9", "not eight whole models"),
        ("total, active = 46_702_792_704, 12_879_925_248", "attention"),
        ("total, active = 1, 2", "hidden × intermediate"),
        ("total, active = '45 billion', 0", "should be a number"),
        ("total, active = 45.1, 11.3", "45.1e9"),
        ("total, active = 45.1e9, 11.3", "11.3e9"),
        ("total, active = 45e9, 11e9", "three digits"),
        ("total, active = 45.1e9, 12.9e9", "2 of the 8"),
        ("total, active = 46.7e9, 12.9e9", "attention"),
    )

    def verify(self, total: Any, active: Any) -> str:
        expert = 3 * 4096 * 14336
        total, active = number_of(total, "total"), number_of(active, "active")
        slips = {
            8 * 7e9: "Mixtral is not eight whole models: only the MLPs are there eight times.",
            46_702_792_704: "that is the whole model: leave out attention and embeddings.",
            32 * 8 * expert / 3: "an expert has three matrices: gate, up and down.",
            8 * expert: "that is one layer, and there are 32 layers.",
            32 * 8 * expert / 1e9: f"write total in full: {total:g} billion is {total:g}e9.",
        }
        for value, slip in slips.items():
            expect(not is_close(total, value, _ROUNDED), slip)
        expect(
            is_close(total, 32 * 8 * expert, _ROUNDED),
            f"total is {total:,.0f}: an expert has 3 × hidden × intermediate numbers.",
        )
        expect(
            not is_close(active, 32 * 2 * expert / 1e9, _ROUNDED),
            f"total is right; write active in full too: {active:g} billion is {active:g}e9.",
        )
        expect(
            is_close(active, 32 * 2 * expert, _ROUNDED) or not is_close(active, 32 * 2 * expert, 0.03),
            "total is right, and active is near: give three digits.",
        )
        expect(
            is_close(active, 32 * 2 * expert, _ROUNDED),
            "total is right; for `active`, count 2 of the 8 experts in each layer.",
        )
        return "45.1 billion in memory, 11.3 billion at work: that is what sparse means."


class Scorecard(Coded):
    """The Open Source AI Definition applied to the course's own model."""

    number = "01.2"
    title = "Fill in a scorecard"
    names = ("verdicts",)
    hints = (
        "Section 5 printed six aspects of this model. Which of them is each requirement about?",
        "Data information: are the sources named? Code: to run and to train. Parameters: weights, and their licence.",
        "Two of the three are only partly met: the shares of the sources are told for another size of the model, and "
        "its own training set-up was not found.",
    )
    code = """
verdicts = {"data information": "partly met", "code": "partly met", "parameters": "met"}
"""
    why = (
        "The weights are free under Apache-2.0. The data is described in part, the training code is there in part. So "
        "SmolLM2 is open weights and some of the rest, and not open source in the sense of the definition."
    )
    also_correct = (
        "verdicts = dict.fromkeys(['data information', 'code'], 'Partly met')\nverdicts['parameters'] = ' met '",
        "verdicts = {'Data information': 'partly', 'code': 'partly_met', 'parameters': 'met.'}",
    )
    mistakes = (
        (
            "verdicts = {'data information': 'met', 'code': 'met', 'parameters': 'met'}",
            "for this size of model",
        ),
        (
            "verdicts = {'data information': 'partly met', 'code': 'met', 'parameters': 'met'}",
            "the code that trained it",
        ),
        (
            "verdicts = {'data information': 'not met', 'code': 'partly met', 'parameters': 'met'}",
            "named",
        ),
        (
            "verdicts = {'data information': 'partly met', 'code': 'partly met', 'parameters': 'not met'}",
            "Apache-2.0",
        ),
        ("verdicts = {'data information': 'partly met'}", "has no verdict on"),
        ("verdicts = {'data information': 'yes', 'code': 'partly met', 'parameters': 'met'}", "one of"),
        ("verdicts = ['partly met', 'partly met', 'met']", "should be a dictionary"),
    )

    def verify(self, verdicts: Any) -> str:
        from labkit.facts import catalogue, licences

        expect(isinstance(verdicts, dict), f"verdicts should be a dictionary, and is {a_kind(verdicts)}.")
        words = ("met", "partly met", "not met")
        truth = licences.score(catalogue.DEFAULT)
        given = {_plain(key): _plain(value) for key, value in verdicts.items()}
        given = {key: f"{value} met" if value in ("partly", "not") else value for key, value in given.items()}
        for requirement in truth:
            expect(requirement in given, f"verdicts has no verdict on {requirement!r}.")
            expect(
                given[requirement] in words,
                f"{given[requirement]!r} is no verdict: write one of {', '.join(map(repr, words))}.",
            )
        slips = {
            "data information": {
                "met": "look at `data_description`: is it told for this size of model?",
                "not met": "the card names datasets; some sources are named, so something is there.",
            },
            "code": {
                "met": "the code that runs the model is there, but is the code that trained it, all of it?",
                "not met": "transformers runs the model, and that code is open.",
            },
            "parameters": {
                "not met": "you downloaded the weights, and their licence is Apache-2.0.",
                "partly met": "the weights are complete, and Apache-2.0 sets no limit of use.",
            },
        }
        for requirement, verdict in truth.items():
            if given[requirement] != verdict:
                expect(False, f"{requirement}: {slips[requirement][given[requirement]]}")
        return "The same verdicts as `labkit.licences.score`. OSI alone decides what its definition means."


def _plain(words: Any) -> str:
    """`Partly_met.` -> `partly met`."""
    return " ".join(re.findall(r"[a-z]+", str(words).lower()))


class ChooseALicence(Open):
    """A model for a product, judged by its licence."""

    number = "01.4"
    title = "Choose by licence"
    question = (
        "A company in Europe wants to fine-tune a 7B model on its own letters, sell the result under its own name, and "
        "train a smaller model of another family on the answers. LLaMA-2-7B or Mistral-7B? Give the clauses."
    )
    rubric = (
        "checks each of the three wishes against both licences, one by one;",
        "finds that LLaMA 2's licence forbids training another model on outputs, and says where;",
        "says what has to be given along with the published result in each case;",
        "names the date of what was read, and that a lawyer decides;",
        "does not choose by licence alone: says how it would compare quality.",
    )
    example = (
        "Mistral-7B. Its Apache-2.0 licence allows all three; a copy of the licence and the notices go along when the "
        "result is given to others. LLaMA 2's licence allows selling and fine-tuning with conditions, but in section 1 "
        "it forbids using its outputs to improve any other large language model; whether a small one counts is for a "
        "lawyer to say. Read on the date that the table gives. Then compare both on fifty of the company's own letters."
    )
    hints = (
        "`labkit.licences.explain('llama2', use)` answers one wish at a time; `labkit.licences.USES` lists them.",
        "The third wish is `train_another_model_on_outputs`. Compare 'llama2' with 'apache-2.0'.",
    )
