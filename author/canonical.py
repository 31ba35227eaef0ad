"""The one form in which a notebook is stored, so that running it again changes nothing but what is really different.

Kept: cell ids, tags, sources, outputs. Replaced: what differs from run to run or tells of somebody's machine
(addresses, random ids, folders). Removed: timestamps, versions, widget state. The same function prepares fresh outputs
before they are compared, so a stored token (`0xADDR`) always meets itself. Knows nothing of kernels or lessons.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.base import assets

SANITIZER = Path(__file__).with_name("sanitize.cfg")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
IGNORED = "nbval-ignore-output"

# What the file of a notebook says of its language: no versions, they would change with every machine.
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}

# Random by nature, meaningless to a reader. Folders are replaced first (see `_folders`).
_RANDOM = [
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "0xADDR"),
    (re.compile(r"\bIPY_MODEL_[0-9a-f]{32}\b"), "IPY_MODEL_ID"),
    (re.compile(r"\baltair-viz-[0-9a-f]{32}\b"), "altair-viz-ID"),
    (re.compile(r"(TMP[/\\]+)ipykernel_\d+[/\\]+\d+\.py"), r"\1ipykernel/cell.py"),
    (re.compile(r"(TMP[/\\]+)tmp[a-z0-9_]{8}\b"), r"\1RANDOM"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d{4,5}\b"), r"\1:PORT"),
]
# A pandas Styler names its rows and cells after a random id; only HTML is searched for it.
_STYLER = re.compile(r"\bT_[0-9a-f]{5}(?=[_\"\s])")

_CARRIAGE_RETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
_BACKSPACE = re.compile(r"[^\n]\x08")


def canonical(notebook: NotebookNode, places: Mapping[str, str] | None = None) -> NotebookNode:
    """A copy of `notebook` in the stored form. `places` are folders of this run and the words that stand for them."""
    fresh = nbformat.from_dict(json.loads(json.dumps(notebook)))
    fresh.nbformat, fresh.nbformat_minor = 4, 5
    count = 0
    for number, cell in enumerate(fresh.cells):
        cell.setdefault("id", f"cell-{number}")
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": sorted(tags)} if tags else {})
        if cell.cell_type == "code":
            ran = cell.execution_count is not None
            count += ran
            cell.execution_count = count if ran else None
            cell.outputs = canonical_outputs(cell.outputs, places, cell.execution_count)
    stamp(fresh)
    return fresh


def stamp(notebook: NotebookNode) -> None:
    """Write into a notebook in stored form which code its outputs belong to, and that they belong together."""
    own = {"sources": digest(notebook), "outputs": digest_of_outputs(notebook)}
    notebook.metadata = nbformat.from_dict({**_METADATA, "labkit": own})


def canonical_outputs(
    outputs: list[NotebookNode], places: Mapping[str, str] | None = None, count: int | None = None
) -> list[NotebookNode]:
    """Outputs of one cell in the stored form; `count` is the number its result carries."""
    folders = _folders(places or {})
    stored = []
    for output in _merged(outputs):
        kind = output.output_type
        if kind == "stream":
            output.text = _clean(_printed(output.text), folders)
        elif kind == "error":
            output.evalue = _clean(output.evalue, folders)
            output.traceback = [_clean(line, folders) for line in output.traceback]
        else:
            output.data = _clean_data(output.data, folders)
            output.metadata = {mime: value for mime, value in output.get("metadata", {}).items() if mime in output.data}
            if kind == "execute_result":
                output.execution_count = count
            if not output.data:
                continue
        stored.append(nbformat.from_dict(output))
    return stored


def digest(notebook: NotebookNode) -> str:
    """Sixteen digits that change when the source or the tags of any code cell do: which code the outputs belong to."""
    cells = [[c.source, sorted(c.metadata.get("tags", []))] for c in notebook.cells if c.cell_type == "code"]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def digest_of_outputs(notebook: NotebookNode) -> str:
    """Sixteen digits that change when any output does: that of another run too, which a merge may have brought in."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()[:16]


def keep_what_did_not_change(fresh: NotebookNode, old: NotebookNode) -> None:
    """Put the old outputs back where the new ones say the same, so that the outputs are those of one run.

    The same means equal after the sanitizer, pictures included. Cells that are tagged as not compared (timings, memory)
    keep their old output only as long as no code and no compared output of the notebook changed: timings of two runs
    beside each other would contradict each other.
    """
    before = {cell.get("id"): cell for cell in old.cells if cell.cell_type == "code" and cell.execution_count}
    cells = [(cell, before[cell.id]) for cell in fresh.cells if cell.cell_type == "code" and cell.get("id") in before]
    same = [_sanitized(kept.outputs) == _sanitized(cell.outputs) for cell, kept in cells]
    free = [IGNORED in cell.metadata.get("tags", []) for cell, _ in cells]
    unchanged = old.metadata.get("labkit", {}).get("sources") == digest(fresh)
    unchanged = unchanged and all(equal or may for equal, may in zip(same, free, strict=True))
    for (cell, kept), equal in zip(cells, same, strict=True):
        if equal or unchanged:
            cell.outputs = canonical_outputs(kept.outputs, count=cell.execution_count)
    stamp(fresh)


def text_of(notebook: NotebookNode) -> str:
    """The file's text: sorted keys and one trailing newline, as Jupyter writes it."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


@functools.cache
def sanitizer_patterns() -> list[tuple[str, str]]:
    """The (regex, replacement) pairs of `sanitize.cfg`, in nbval's format."""
    return re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITIZER.read_text(encoding="utf-8"), re.MULTILINE)


def sanitize(text: str) -> str:
    """`text` with what a comparison has to look past replaced, as nbval does it."""
    for pattern, replacement in sanitizer_patterns():
        text = re.sub(pattern, replacement, text)
    return text


def _sanitized(outputs: list[NotebookNode]) -> list[Any]:
    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items() if k not in ("execution_count", "traceback")}
        if isinstance(value, list):
            return [walk(v) for v in value]
        return sanitize(value) if isinstance(value, str) and not key.startswith("image/") else value

    return [walk(dict(output)) for output in outputs]


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Streams of one name that no other output parts become one; stdout before stderr, whose order is chance."""
    merged: list[NotebookNode] = []
    open_streams: dict[str, NotebookNode] = {}
    for output in json.loads(json.dumps(outputs)):
        output = nbformat.from_dict(output)
        if output.output_type != "stream":
            merged += [open_streams[name] for name in sorted(open_streams, reverse=True)]
            open_streams = {}
            merged.append(output)
        elif output.name in open_streams:
            open_streams[output.name].text += output.text
        else:
            open_streams[output.name] = output
    return merged + [open_streams[name] for name in sorted(open_streams, reverse=True)]


def _printed(text: str) -> str:
    """What a terminal would show in the end of text that goes back over itself (progress bars)."""
    before = None
    while before != text:
        before, text = text, _BACKSPACE.sub("", text)
    return _CARRIAGE_RETURN.sub("", text)


def _clean_data(data: Mapping[str, Any], folders: list[tuple[re.Pattern[str], str]]) -> dict[str, Any]:
    kept = {}
    for mime, value in data.items():
        if mime == WIDGET_VIEW:
            continue
        if isinstance(value, list):
            value = "".join(value)
        if isinstance(value, str) and not mime.startswith("image/"):
            value = _clean(value, folders)
            if mime == "text/html":
                value = _STYLER.sub("T_ID", value)
        elif isinstance(value, str):
            # A picture's base64 ends with or without a newline, depending on who encoded it.
            value = value.strip()
        kept[mime] = value
    return kept


def _clean(text: str, folders: list[tuple[re.Pattern[str], str]]) -> str:
    for folder, word in folders:
        text = folder.sub(word, text)
    for pattern, replacement in _RANDOM:
        text = pattern.sub(replacement, text)
    return text


def _folders(places: Mapping[str, str]) -> list[tuple[re.Pattern[str], str]]:
    """Folders of this machine and the words that stand for them; longest first, as printed and as `repr` shows them."""
    known = {str(Path.home()): "HOME", tempfile.gettempdir(): "TMP", sys.prefix: "PYTHON", sys.base_prefix: "PYTHON"}
    if sys.platform != "win32":
        known |= {"/tmp": "TMP", "/private/tmp": "TMP"}
        known.pop("/usr", None)  # the system's own Python: the folder says nothing of whose machine this is
    if assets.checkout():
        known[str(assets.checkout())] = "COURSE"
    known |= places
    known |= {str(Path(folder).resolve()): word for folder, word in known.items()}
    home, spelled = str(Path.home()), {}
    for folder, word in known.items():
        if len(folder) > 3:
            spelled |= {folder: word, folder.replace("\\", "\\\\"): word, Path(folder).as_posix(): word}
            if folder.startswith(home) and folder != home:
                spelled["~" + folder.removeprefix(home)] = word
    longest_first = sorted(spelled.items(), key=lambda pair: -len(pair[0]))
    # Not in the middle of a word or of a longer path; a colour code before it (`\x1b[32m`) is no word.
    return [
        (re.compile(rf"(?:(?<![\w.~-])|(?<=\[\dm)|(?<=\[\d\dm)){re.escape(folder)}(?![\w-])"), word)
        for folder, word in longest_first
    ]
