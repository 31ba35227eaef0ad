"""The head of a card: read, and judged as the real Hub does before it takes a README.md.

Errors refuse the card, warnings let it pass. The real Hub's rules are not published as code; these follow its
documentation and the messages that people have quoted, and are fewer.
Sources, seen 2026-11-23: https://huggingface.co/docs/hub/repositories-licenses, .../docs/hub/model-cards and
https://github.com/huggingface/huggingface_hub/issues/1927. The table of licences grows; of those newer than llama2 not
each was confirmed: to let one pass is better than to refuse it. Knows nothing of what a good card says (`cards`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

# What does not stand here is "other", with a license_name and a license_link.
_IDS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openrail++ openmdw-1.0 osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
LICENCES = frozenset(_IDS.split())
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
_LANGUAGE_WORDS = ("code", "multilingual")
_REPOSITORY = re.compile(r"(?!.*(--|\.\.))([A-Za-z0-9_][\w.-]*/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_HEAD = re.compile(r"\s*---[\r\n]+(.*?)[\r\n]+---(?:[\r\n]|$)", re.DOTALL)


_MOST_ALIASES, _LONGEST_HEAD = 10, 100_000


class _Loader(yaml.SafeLoader):
    """YAML without days: JSON, in which the Hub answers, has none, and what looks like a day may be none.

    Aliases are few, because aliases of aliases make gigabytes out of a few lines.
    """

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"it has more than {_MOST_ALIASES} aliases (*name)")
        return super().compose_node(parent, index)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


def head_of(content: str) -> Any:
    """What stands at the head of a card, between two lines `---`; None for a card without. yaml.YAMLError if broken."""
    head = _HEAD.match(content)
    if head and len(head[1]) > _LONGEST_HEAD:
        raise yaml.YAMLError(f"it is longer than {_LONGEST_HEAD:,} characters")
    try:
        return yaml.load(head[1], _Loader) if head else None
    except (ValueError, TypeError, RecursionError) as problem:  # such as a day that no month has, or a list as a name
        raise yaml.YAMLError(str(problem)) from None


def fits_json(value: Any) -> bool:
    """Whether the Hub could answer with this value."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def metadata(content: str) -> dict[str, Any]:
    """The names and values at the head of a card; {} where there are none, or none that can be read."""
    try:
        found = head_of(content)
    except yaml.YAMLError:
        return {}
    return {name: value for name, value in found.items() if fits_json({name: value})} if isinstance(found, dict) else {}


def validate(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a card's text; two empty lists for a card without fault."""
    try:
        data = head_of(content)
    except yaml.YAMLError as problem:
        return [f"The head of the card is not YAML: {' '.join(str(problem).split())}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["The head of the card must be names with values, such as `license: mit`."], []
    return list(_errors(data)), list(_warnings(data))


def _errors(data: dict[str, Any]) -> Iterator[str]:
    for name, value in data.items():
        if not fits_json({name: value}):
            yield f'"{name}" has a value that JSON cannot hold, such as .nan, or bytes'
    for name in ("license", "language", "base_model", "datasets"):
        values = data.get(name)
        for value in values if isinstance(values, list) else [] if values is None else [values]:
            yield from _value(name, value)
    for name in ("library_name", "pipeline_tag", "license_name", "license_link"):
        if data.get(name) is not None and not isinstance(data[name], str):
            yield f'"{name}" must be a string'
    tags = data.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        yield '"tags" must be an array of strings'
    if data.get("model-index") is not None:
        yield from _index(data["model-index"])


def _value(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f'"{name}" must be a string or an array of strings, and not {str(value)[:60]!r}'
    elif name == "license" and value not in LICENCES:
        yield f'"license" must be one of [{", ".join(sorted(LICENCES))}], and not {value[:60]!r}'
    elif name == "language" and value not in _LANGUAGE_WORDS and not _LANGUAGE.fullmatch(value):
        yield f'"language" with value {value[:60]!r} is not valid: it is a code of two or three letters, such as en'
    elif name in ("base_model", "datasets") and not _REPOSITORY.fullmatch(value):
        yield f'"{name}" with value {value[:60]!r} is not valid: use an id of the Hub, owner/name'


def _index(index: Any) -> Iterator[str]:
    """`model-index`: models with results, each of a task, a data set and metrics with values."""
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for at, model in enumerate(index):
        where = f"model-index[{at}]"
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            yield f'"{where}.name" is required and must be a string'
        results = model.get("results") if isinstance(model, dict) else None
        if not isinstance(results, list):
            yield f'"{where}.results" must be an array'
            continue
        for number, result in enumerate(results):
            yield from _result(f"{where}.results[{number}]", result)


def _result(where: str, result: Any) -> Iterator[str]:
    result = result if isinstance(result, dict) else {}
    for part, names in (("task", ["type"]), ("dataset", ["type", "name"])):
        found = result.get(part)
        for name in names:
            if not isinstance(found, dict) or not isinstance(found.get(name), str):
                yield f'"{where}.{part}.{name}" is required and must be a string'
    metrics = result.get("metrics")
    if not isinstance(metrics, list):
        yield f'"{where}.metrics" must be an array'
        return
    for number, metric in enumerate(metrics):
        for name in ("type", "value"):
            if not isinstance(metric, dict) or metric.get(name) is None:
                yield f'"{where}.metrics[{number}].{name}" is required'


def _warnings(data: dict[str, Any]) -> Iterator[str]:
    if not data.get("license"):
        yield "The card has no license."
    if data.get("license") == "other" and not (data.get("license_name") and data.get("license_link")):
        yield "The license is other: say which with license_name and license_link."
