"""The JSON in a request: read and checked here, so that no value of an unexpected type gets any further.

Every refusal names the field. Knows types. Knows nothing of what a field means.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from labkit.world.services.refusals import Refused

Kind = tuple[str, Callable[[Any], bool]]  # in words, and as a check


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) or _is_whole(value)


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


TEXT: Kind = ("a text", lambda value: isinstance(value, str))
TEXTS: Kind = ("a text or a list of texts", lambda value: isinstance(value, str) or _is_list_of(str)(value))
TRUTH: Kind = ("true or false", lambda value: isinstance(value, bool))
WHOLE: Kind = ("a whole number of at most 64 bits", _is_whole)
COUNT: Kind = ("a whole number above 0", lambda value: _is_whole(value) and value > 0)
SIZE: Kind = ("a number of bytes", lambda value: _is_whole(value) and value >= 0)
NUMBER: Kind = ("a number", _is_number)
OBJECT: Kind = ("a JSON object", lambda value: isinstance(value, dict))
OBJECTS: Kind = ("a list of JSON objects", _is_list_of(dict))

_SMALL = 5_000_000  # bytes that are looked through in any case
_SUSPECT = re.compile(rb"\\u[dD]|NaN|Infinity|\d[eE]")


async def content(request: Request, most: int) -> bytes:
    """The body, up to `most` bytes; 413 for more."""
    pieces, size = [], 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise Refused(413, f"This server reads up to {most / 1e6:.0f} MB here.")
    return b"".join(pieces)


def parsed(body: bytes, fields: dict[str, Kind] | None = None) -> dict[str, Any]:
    """A JSON object whose values can be sent on as JSON, of the kinds that `fields` says; 400 for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The request is not JSON.") from None
    if not isinstance(found, dict):
        raise Refused(400, "The request must be a JSON object.")
    if len(body) < _SMALL or _SUSPECT.search(body):
        for name, value in found.items():
            _require_sound(name, value)
    check(found, fields or {})
    return found


def _require_sound(name: str, value: Any) -> None:
    """Python reads NaN, infinite numbers and halves of characters; nobody else would take them."""
    try:
        json.dumps({name: value}, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused(400, f"{name} has what JSON cannot hold: an infinite number, or half a character.") from None


def check(asked: dict[str, Any], fields: dict[str, Kind], *, status: int = 400, **more: Any) -> None:
    """Refuse a field of another kind than it should have. Without a value it may always be."""
    for name, (words, fits) in fields.items():
        value = asked.get(name)
        if value is not None and not fits(value):
            shown = json.dumps(value, ensure_ascii=False, default=str)[:40]
            raise Refused(status, f"{name} must be {words}, and not {shown}.", **more)
