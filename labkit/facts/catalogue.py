"""The models that the course speaks of: one TOML file each in `assets/catalogue`, each fact with a source and a date.
Models that write are listed; one that turns texts into vectors lies in `embedding/`, and is found by its name.
Statements about several of them, about vendors and benchmarks are in `assets/facts.toml`.

Knows what was published, where it was read, when, and whether that could be confirmed. Knows nothing of the Hub's
state today, of weights (`world.weights`) or of bytes (`memory`). A file is read when it is first asked for.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import json
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import memory

if TYPE_CHECKING:
    import pandas

DEFAULT = "smollm2-135m-instruct"
EMBEDDER = "all-minilm-l6-v2"

_SHAPE = {field.name: field.default is MISSING for field in fields(memory.Shape)}
_REQUIRED = (
    *("title", "maker", "repo_id", "revision", "licence", "gated", "chat"),
    *("parameters", "architecture", "model_type", "context"),
)
# Its shape: number by number, or in the published configuration beside its file.
_OF_SHAPE = tuple(name for name, required in _SHAPE.items() if required)
_TYPES = {"source": str, "seen": datetime.date, "confirmed": bool}


@dataclass(frozen=True)
class Fact:
    """One published statement: `value`, the `source` it was read in, the day it was `seen`, and whether it could be
    `confirmed` there; `note` says what a reader should know about it."""

    value: Any
    source: str
    seen: datetime.date
    confirmed: bool
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """One model. `name` is what lessons pass as `model=`; `facts` holds everything that its file says."""

    name: str
    facts: dict[str, Fact]

    def value(self, key: str, default: Any = MISSING) -> Any:
        """The value of a fact, confirmed or not. LabError when there is none and no `default`."""
        if key in self.facts:
            return self.facts[key].value
        if default is MISSING:
            raise LabError(f"The catalogue has no fact {key!r} about {self.name}: it has {', '.join(self.facts)}.")
        return default

    @property
    def title(self) -> str:
        return self.value("title")

    @property
    def repo_id(self) -> str:
        return self.value("repo_id")

    @property
    def revision(self) -> str | None:
        """The commit of the repository that the facts were read at; None until a networked job has filled it in."""
        return self.value("revision") or None

    @property
    def licence(self) -> str:
        """The licence as the Hub names it: apache-2.0, mit, llama2, llama3.2, llama4, gemma, lfm1.0."""
        return self.value("licence")

    @property
    def gated(self) -> bool | None:
        """Whether the Hub asks for an agreement first; None where that could not be confirmed (the fact's note has
        what was seen last)."""
        return self.value("gated") if self.facts["gated"].confirmed else None

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


def fact(name: str) -> Fact:
    """A statement of `assets/facts.toml` about models, vendors or benchmarks. LabError for an unknown name.

    >>> fact("openai-notice").confirmed
    True
    """
    known = {key: table for key, table in _statements().items() if key != "score"}
    if name not in known:
        raise LabError(f"There is no fact {name!r}: there are {', '.join(known)}.")
    return _fact(assets.path("facts.toml"), name, known[name])


def scores(benchmark: str | None = None) -> pandas.DataFrame:
    """Published benchmark scores in per cent: model, benchmark, method, value, measured_by, year, source, seen,
    confirmed, note. One row a measurement, of one `benchmark` or of all."""
    import pandas

    table = pandas.DataFrame(_statements()["score"]).fillna({"note": ""})
    return table if benchmark is None else table[table.benchmark == benchmark].reset_index(drop=True)


@functools.cache
def _statements() -> dict[str, Any]:
    return tomllib.loads(assets.path("facts.toml").read_text(encoding="utf-8"))


def load(file: Path) -> Entry:
    """The entry in one file of the catalogue. LabError with the file and the key when it is not as its README asks."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise LabError(f"The catalogue file {file.name} is not valid TOML: {problem}.") from None
    facts = {key: _fact(file, key, table) for key, table in tables.items()}
    required = _REQUIRED if {"config", "dimensions"} & facts.keys() else (*_REQUIRED, *_OF_SHAPE)
    for key in required:
        if key not in facts:
            raise LabError(f"The catalogue file {file.name} has no {key!r}: every model needs {', '.join(required)}.")
    return Entry(file.stem, facts)


def _fact(file: Path, key: str, table: Any) -> Fact:
    where = f"The catalogue file {file.name}: the fact {key!r}"
    if not isinstance(table, dict):
        raise LabError(f"{where} must be a table with value, source, seen and confirmed, not {table!r}.")
    for part in ("value", *_TYPES):
        if part not in table:
            raise LabError(f"{where} has no {part!r}.")
    if unknown := table.keys() - {"value", *_TYPES, "note"}:
        raise LabError(f"{where} has an unknown {', '.join(sorted(unknown))}.")
    for part, kind in _TYPES.items():
        if not isinstance(table[part], kind):
            raise LabError(f"{where} has a {part!r} that is no {kind.__name__}: {table[part]!r}.")
    if not table["source"].strip():
        raise LabError(f"{where} has an empty 'source'.")
    return Fact(**table)
