"""A Sphinx extension: in every lesson, the first use of a term of the glossary becomes a link to it.

The page docs/glossary.md is a list that reads well anywhere, `- **term**: what it means`; here it becomes a glossary of
Sphinx, in which a term in italics is a link. Terms are found in running text, with a plural's ending or a capital.
Headings, code, links and the first column of a table, with the names of its rows, stay as they are. Knows no lesson.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

PAGE = "docs/glossary"
_ENTRY = re.compile(r"^- \*\*(?P<term>[^*\n]+)\*\*: (?P<meaning>.+)$", re.MULTILINE)
_LIST = re.compile(r"(?:^- .+\n)+", re.MULTILINE)
# Text inside these is no running text.
_CLOSED = (nodes.title, nodes.literal, nodes.literal_block, nodes.reference, nodes.raw, addnodes.pending_xref)


def terms(text: str) -> list[str]:
    """The terms that the page defines, in its order."""
    return [match["term"] for match in _ENTRY.finditer(text)]


def directives(text: str) -> str:
    """The page with its lists as glossaries of Sphinx."""
    known = terms(text)

    def linked(match: re.Match[str]) -> str:
        return f"{{term}}`{match[1]}`" if match[1] in known else match[0]

    def glossary(match: re.Match[str]) -> str:
        entries = _ENTRY.sub(lambda entry: f"{entry['term']}\n  {entry['meaning']}\n", match[0])
        return f":::{{glossary}}\n{re.sub(r'[*]([^*]+)[*]', linked, entries)}:::\n"

    return _LIST.sub(glossary, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this when it loads the extension."""
    app.connect("builder-inited", _read)
    app.connect("source-read", _convert)
    app.connect("doctree-read", _link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def pattern(known: list[str]) -> re.Pattern[str]:
    """Finds any of the terms, the longest first, in singular and plural; not within a word, a path or a name."""
    words = "|".join(re.escape(term).replace(r"\ ", r"\s+") for term in sorted(known, key=len, reverse=True))
    return re.compile(rf"(?<![\w./`-])({words})(?:e?s)?(?![\w/`]|-\w|\.\w)", re.IGNORECASE)


def _read(app: Sphinx) -> None:
    known = terms((Path(app.srcdir) / f"{PAGE}.md").read_text(encoding="utf-8"))
    app.labkit_terms = {" ".join(term.lower().split()): term for term in known}
    app.labkit_pattern = pattern(known)


def _convert(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] = directives(source[0])


def _link(app: Sphinx, doctree: nodes.document) -> None:
    """Put a reference to the term in place of its first use."""
    if not app.env.docname.startswith("notebooks/"):
        return
    done: set[str] = set()
    for text in list(doctree.findall(nodes.Text)):
        if not _closed(text):
            parts = _parts(app, str(text), done)
            if len(parts) > 1:
                text.parent.replace(text, parts)


def _closed(node: nodes.Node) -> bool:
    while (node := node.parent) is not None:
        if isinstance(node, _CLOSED) or (isinstance(node, nodes.entry) and node.parent.index(node) == 0):
            return True
    return False


def _parts(app: Sphinx, text: str, done: set[str]) -> list[nodes.Node]:
    """The text, cut at each term that was not used before."""
    parts, end = [], 0
    for match in app.labkit_pattern.finditer(text):
        key = " ".join(match[1].lower().split())
        if key in done:
            continue
        done.add(key)
        options = {"refdomain": "std", "reftype": "term", "reftarget": app.labkit_terms[key], "refexplicit": True}
        words = nodes.inline("", match[0], classes=["labkit-term"])
        link = addnodes.pending_xref("", words, refdoc=app.env.docname, refwarn=True, **options)
        parts += [nodes.Text(text[end : match.start()]), link]
        end = match.end()
    return [*parts, nodes.Text(text[end:])]
