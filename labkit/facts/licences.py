"""What licences of models allow, and how open well-known models are: facts with a source, a day and a grade.

Knows what the texts of licences say (`assets/licences`, one TOML file each), and which parts of a release were
published (`assets/openness.toml`). Knows nothing of your case, your country's law, or what a page says today: this is
teaching material.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue, sourced
from labkit.facts.sourced import Fact

if TYPE_CHECKING:
    import pandas

NOT_ADVICE = "This is teaching material, not legal advice."

USES: dict[str, str] = {
    "commercial_product": "Sell a product that uses the model?",
    "over_700_million_users": "Use it in a company with more than 700 million monthly users?",
    "fine_tune_and_publish": "Fine-tune it and publish the result?",
    "train_another_model_on_outputs": "Train another model on its outputs?",
    "change_the_name": "Publish your version under a name of your own choice?",
    "leave_out_attribution": "Use it without naming its maker or giving the licence along?",
    "use_in_the_eu": "Use it in the European Union?",
    "military": "Use it for the military?",
    "keep_changes_secret": "Change it and keep the changes to yourself?",
    "sue_over_patents": "Sue over patents in it, and keep your rights?",
}
ANSWERS = {"allowed": "Yes", "conditional": "Yes, with conditions", "no": "No", "unclear": "Unclear"}

ASPECTS: dict[str, str] = {
    "weights": "Can anybody download the weights?",
    "architecture_code": "Is there code under an open licence that runs them?",
    "training_code": "Is the code that trained them published?",
    "data": "Can the training data be downloaded?",
    "data_description": "Are the sources of the data named?",
    "licence": "Are the weights under an approved open licence, for any purpose?",
}
# What the Open Source AI Definition asks for, and the aspects that speak of it. Data itself is not required.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "data information": ("data_description",),
    "code": ("architecture_code", "training_code"),
    "parameters": ("weights", "licence"),
}

_OPENNESS = ("yes", "partly", "no")
_HEAD = ("title", "hub_id", "version_date", "text_url")


@dataclass(frozen=True, kw_only=True)
class Use(Fact):
    """What a licence says about one use: `value` is one of `ANSWERS`, `clause` the place in the text, `paraphrase` its
    sense in our words. It is second hand where the passage was read in somebody's copy, or not in full."""

    clause: str
    paraphrase: str


@dataclass(frozen=True)
class Licence:
    """One licence. `hub_id` is its name on the Hub, `version_date` the date as the text tells it."""

    id: str
    title: str
    hub_id: str
    version_date: str
    text_url: str
    approval: Fact
    uses: dict[str, Use]

    @property
    def approved_by_osi(self) -> bool:
        """Whether the Open Source Initiative approved it; `approval` has the source."""
        return self.approval.value


@dataclass(frozen=True)
class Openness:
    """The aspects of `ASPECTS` of one model, each yes, partly or no."""

    name: str
    title: str
    aspects: dict[str, Fact]


def ids() -> list[str]:
    """The licences of the course, in alphabetical order."""
    return sorted(file.stem for file in assets.path("licences").glob("*.toml"))


def get(id: str) -> Licence:
    """The licence of that id, or of that id on the Hub, or of the model of that name; case does not matter.

    >>> get("mrl").title
    'Mistral AI Research License 0.1'
    >>> get("mistral-7b").id
    'apache-2.0'

    Raises LabError with the nearest ids and models when there is none.
    """
    names = {each.hub_id: name for name, each in _licences().items()} | {name: name for name in _licences()}
    if id.strip().lower() not in names:
        with contextlib.suppress(LabError):
            id = catalogue.get(id).licence
    return _licences()[names[_known(id, names, "licence", also=catalogue.names())]]


def table() -> pandas.DataFrame:
    """One row a licence, one column a use of `USES`: allowed, conditional, no or unclear."""
    import pandas

    rows = {name: {use: get(name).uses[use].value for use in USES} for name in ids()}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("licence")


def explain(licence_id: str, use: str) -> str:
    """The answer to one question of `USES` under one licence, with clause, source and date, one line each.

    A model's name stands for its licence.

    >>> print(explain("llama2", "train_another_model_on_outputs").splitlines()[1])
    Train another model on its outputs? No.
    """
    licence = get(licence_id)
    use = _known(use, USES, "use")
    fact = licence.uses[use]
    lines = [licence.title, f"{USES[use]} {ANSWERS[fact.value]}.", fact.paraphrase]
    lines.append(f"Where: {fact.clause}. Source: {fact.source} ({fact.read}).")
    if fact.note:
        lines.append(f"Note: {fact.note}.")
    return "\n".join([*lines, NOT_ADVICE])


def openness() -> pandas.DataFrame:
    """One row a model, one column an aspect of `ASPECTS`: yes, partly or no. Closed models come first."""
    import pandas

    rows = {name: {aspect: model.aspects[aspect].value for aspect in ASPECTS} for name, model in _openness().items()}
    return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def openness_of(model: str) -> Openness:
    """What is known of one model's openness. LabError with the nearest names when there is none of that name."""
    return _openness()[_known(model, _openness(), "model")]


def openness_fact(model: str, aspect: str) -> Fact:
    """One aspect of one model: value, source, date, and in `note` what there is.

    >>> openness_fact("pythia", "data").value
    'partly'
    """
    return openness_of(model).aspects[_known(aspect, ASPECTS, "aspect")]


def score(model: str) -> dict[str, str]:
    """The three requirements of the Open Source AI Definition 1.0, each "met", "partly met" or "not met".

    The definition (Open Source Initiative, https://opensource.org/ai/open-source-ai-definition, read 2026-11-23) asks
    for data information that lets a skilled person build a substantially equivalent system, the complete code to train
    and run it, and the parameters, all under terms that OSI approves; an open source AI meets all three.
    `REQUIREMENTS` says which aspects stand for each: all yes is met, all no is not met, anything between is partly met.
    It is a reading aid: what counts as enough is for people to judge, and OSI itself decides what its words mean.

    >>> score("olmo-2-7b")
    {'data information': 'met', 'code': 'met', 'parameters': 'met'}
    """
    return {requirement: _verdict(model, aspects) for requirement, aspects in REQUIREMENTS.items()}


def _verdict(model: str, aspects: tuple[str, ...]) -> str:
    values = {openness_fact(model, aspect).value for aspect in aspects}
    return "met" if values == {"yes"} else "not met" if values == {"no"} else "partly met"


def load(file: Path) -> Licence:
    """The licence in one file. LabError with the file and the key when it is not as the README asks."""
    content, where = sourced.read(file), f"The licence file {file.name}"
    sourced.check_keys(where, content, (*_HEAD, "approved_by_osi", "uses"), (*_HEAD, "approved_by_osi", "uses"))
    head = {key: sourced.text(where, content, key) for key in _HEAD}
    approval = sourced.fact(f"{where}: 'approved_by_osi'", content["approved_by_osi"], values=(True, False))
    given = content["uses"]
    sourced.check_keys(f"{where}: 'uses'", given, USES, USES)
    uses = {use: sourced.fact(f"{where}: the use {use!r}", given[use], Use, values=ANSWERS) for use in USES}
    return Licence(id=file.stem, approval=approval, uses=uses, **head)


def load_openness(file: Path) -> dict[str, Openness]:
    """Every model of a file like `openness.toml`. LabError with the file, the model and the key when one is wrong."""
    found = {}
    for name, content in sourced.read(file).items():
        where = f"The file {file.name}: the model {name!r}"
        sourced.check_keys(where, content, ("title", *ASPECTS), ("title", *ASPECTS))
        title = sourced.text(where, content, "title")
        facts = {key: sourced.fact(f"{where}: {key!r}", content[key], values=_OPENNESS) for key in ASPECTS}
        found[name] = Openness(name, title, facts)
    return found


@functools.cache
def _licences() -> dict[str, Licence]:
    return {name: load(assets.path("licences", f"{name}.toml")) for name in ids()}


@functools.cache
def _openness() -> dict[str, Openness]:
    return load_openness(assets.path("openness.toml"))


def _known(wanted: str, known: Collection[str], kind: str, *, also: Collection[str] = ()) -> str:
    """`wanted` as `known` has it, in small letters. LabError with the nearest, of `also` too, if it is not there."""
    name = wanted.strip().lower()
    if name in known:
        return name
    near = difflib.get_close_matches(name, [*known, *also], n=3, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}."
    raise LabError(f"There is no {kind} {wanted!r} here: {offer}")
