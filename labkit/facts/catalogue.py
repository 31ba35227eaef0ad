"""The models that the course speaks of: one TOML file each in `assets/catalogue`, each fact with its source, its day
and its grade. Models that write are listed; one that turns texts into vectors lies in `embedding/`, and is found by its
name. `assets/facts.toml` has what concerns several models, vendors or benchmarks.

Knows what was published, where and when it was read, and how sure that source is (`sourced`). Knows nothing of the
Hub's state today, of weights (`world.weights`) or of bytes (`memory`). A file is read when it is first asked for.
"""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import memory, sourced
from labkit.facts.sourced import Fact

if TYPE_CHECKING:
    import pandas

DEFAULT = "smollm2-135m-instruct"
EMBEDDER = "all-minilm-l6-v2"

_SHAPE = {field.name: field.default is MISSING for field in fields(memory.Shape)}
_REQUIRED = (
    *("title", "maker", "repo_id", "licence", "gated", "chat"),
    *("parameters", "architecture", "model_type", "context"),
)
# Its shape: number by number, or in the published configuration beside its file.
_OF_SHAPE = tuple(name for name, required in _SHAPE.items() if required)


@dataclass(frozen=True)
class Entry:
    """One model. `name` is what lessons pass as `model=`, `title` what they call it; `facts` holds all else that its
    file says."""

    name: str
    title: str
    facts: dict[str, Fact]

    def value(self, key: str, default: Any = MISSING) -> Any:
        """The value of a fact, of whatever grade. LabError when there is none and no `default`."""
        if key in self.facts:
            return self.facts[key].value
        if default is MISSING:
            raise LabError(f"The catalogue has no fact {key!r} about {self.name}: it has {', '.join(self.facts)}.")
        return default

    @property
    def repo_id(self) -> str:
        return self.value("repo_id")

    @property
    def revision(self) -> str | None:
        """The commit of the repository that the facts were read at; None where nobody has read it."""
        return self.value("revision", None)

    @property
    def licence(self) -> str:
        """The licence as the Hub names it: apache-2.0, mit, llama2, llama3.2, llama4, gemma, lfm1.0."""
        return self.value("licence")

    @property
    def gated(self) -> bool | None:
        """Whether the Hub asks for an agreement first; None where no maker says so: a gate comes and goes, and the
        fact's note has what others saw last."""
        return None if self.facts["gated"].is_second_hand else self.value("gated")

    @property
    def parameters(self) -> int:
        return self.value("parameters")

    @property
    def active_parameters(self) -> int:
        """Parameters that compute one token: fewer than `parameters` in a mixture of experts."""
        return self.value("active_parameters", self.parameters)

    @property
    def architecture(self) -> str:
        """The class of transformers for the language model, for example `LlamaForCausalLM`."""
        return self.value("architecture")

    @property
    def context(self) -> int:
        """The longest text that the configuration allows, in tokens."""
        return self.value("context")

    @property
    def config(self) -> dict[str, Any] | None:
        """What `config.json` says of the shape, where the catalogue keeps it; None where it has the numbers alone."""
        return _config(self.value("config")) if "config" in self.facts else None

    @property
    def shape(self) -> memory.Shape:
        """The shape of the language model; of a model that reads pictures or sound too, without the part that does."""
        if "config" in self.facts:
            return _shape(self.value("config"))
        return memory.Shape(**{name: self.value(name) for name in _SHAPE if name in self.facts})

    def size_bytes(self, dtype: str) -> int:
        """Bytes of the weights in fp32, bf16, fp16, int8 or int4.

        >>> get("mistral-7b").size_bytes("bf16") / 1e9
        14.483464192
        """
        return memory.weights_bytes(self.parameters, dtype)


def names(family: str | None = None) -> list[str]:
    """The names of all models, or of those that begin with `family`, in alphabetical order.

    >>> names("mixtral")
    ['mixtral-8x7b', 'mixtral-8x7b-instruct']
    """
    return sorted(name for name in _files() if name.startswith(family or ""))


def get(name: str) -> Entry:
    """The model of that name, or of that repository on the Hub; case does not matter.

    >>> get("mistralai/Mistral-7B-v0.1").name
    'mistral-7b'

    Raises LabError with the nearest names when there is none.
    """
    wanted = name.strip().lower()
    if wanted in _files() or wanted in _embedders():
        return _entry(wanted)
    if "/" in wanted:
        for entry in (*all(), *map(_entry, _embedders())):
            if entry.repo_id.lower() == wanted:
                return entry
    known = (
        {entry.repo_id.lower(): entry.repo_id for entry in all()} if "/" in wanted else {one: one for one in names()}
    )
    if near := difflib.get_close_matches(wanted, known, n=3, cutoff=0.5):
        offer = f"did you mean {' or '.join(known[one] for one in near)}?"
    else:
        offer = f"it has {', '.join(names())}."
    raise LabError(f"There is no model {name!r} in the catalogue: {offer}")


def all() -> list[Entry]:
    """Every model that writes, in the order of `names()`."""
    return [_entry(name) for name in names()]


@functools.cache
def _files() -> dict[str, Path]:
    return {file.stem: file for file in assets.path("catalogue").glob("*.toml")}


@functools.cache
def _embedders() -> dict[str, Path]:
    return {file.stem: file for file in assets.path("catalogue", "embedding").glob("*.toml")}


@functools.cache
def _entry(name: str) -> Entry:
    return load((_files() | _embedders())[name])


@functools.cache
def _config(name: str) -> dict[str, Any]:
    return json.loads(assets.path("catalogue", name).read_text(encoding="utf-8"))


@functools.cache
def _shape(name: str) -> memory.Shape:
    return memory.shape_of(_config(name))


@dataclass(frozen=True, kw_only=True)
class Score(Fact):
    """A published benchmark score; `value` is in per cent."""

    model: str
    benchmark: str
    method: str
    measured_by: str
    year: int


def fact(name: str) -> Fact:
    """A statement of `assets/facts.toml` about models, vendors or benchmarks. LabError for an unknown name.

    >>> fact("openai-notice").grade
    'maker'
    """
    known = statements()
    if name not in known:
        raise LabError(f"There is no fact {name!r}: there are {', '.join(known)}.")
    return known[name]


def scores(benchmark: str | None = None) -> pandas.DataFrame:
    """Published benchmark scores in per cent: model, benchmark, method, value, measured_by, year, source, seen,
    grade, note. One row a measurement, of one `benchmark` or of all."""
    import pandas

    columns = ["model", "benchmark", "method", "value", "measured_by", "year", "source", "seen", "grade", "note"]
    return pandas.DataFrame([vars(one) for one in all_scores() if benchmark in (None, one.benchmark)], columns=columns)


@functools.cache
def statements() -> dict[str, Fact]:
    """Every statement that `fact` knows, by its name."""
    tables = {name: table for name, table in _facts_file().items() if name != "score"}
    return {name: sourced.fact(f"The file facts.toml: the fact {name!r}", table) for name, table in tables.items()}


@functools.cache
def all_scores() -> tuple[Score, ...]:
    """Every published score that the course knows, in the order of its file."""
    return tuple(sourced.fact("The file facts.toml: a score", table, Score) for table in _facts_file()["score"])


@functools.cache
def _facts_file() -> dict[str, Any]:
    return sourced.read(assets.path("facts.toml"))


def load(file: Path) -> Entry:
    """The entry in one file of the catalogue. LabError with the file and the key when it is not as its README asks."""
    tables, where = sourced.read(file), f"The catalogue file {file.name}"
    required = _REQUIRED if {"config", "dimensions"} & tables.keys() else (*_REQUIRED, *_OF_SHAPE)
    sourced.check_keys(where, tables, required, tables)
    title = sourced.text(where, tables, "title")
    facts = {key: sourced.fact(f"{where}: the fact {key!r}", table) for key, table in tables.items() if key != "title"}
    return Entry(file.stem, title, facts)
