"""The search map: a question among the passages, which of them are nearest, and why."""

from __future__ import annotations

from typing import Any

import ipywidgets

from labkit.lessons.widgets import base
from labkit.models import retrieval

_WIDTH, _HEIGHT, _EDGE = 640, 300, 14
_HOW = {"words and meaning": "both", "meaning (vectors)": "meaning", "words (BM25)": "words"}


def search_map(search: retrieval.Search | None = None, question: str = "Who looks after lost umbrellas?") -> base.View:
    """The nearest passages on a map; the same facts as `search.nearest(question, k, how)`.

    Without `search` it searches the course's documents. A dot is a passage; the map keeps two of 384 dimensions, so
    what is near in it need not be near in all.
    """
    found = search or retrieval.course_search()
    entry = base.control(ipywidgets.Text, "Question (press Enter)", question, continuous_update=False)
    how = base.control(ipywidgets.Dropdown, "Search by", "both", options=list(_HOW.items()))
    count = base.control(ipywidgets.IntSlider, "Passages", 3, min=1, max=8)
    output = base.panel()
    middle, axes = retrieval.plane(found.vectors)
    places = (found.vectors - middle) @ axes

    def render() -> str:
        table = found.nearest(entry.value, count.value, how.value)
        own = (retrieval.embed([entry.value])[0] - middle) @ axes
        return base.block(_picture(found, places, own, table) + _list(table))

    update = base.refresh(output, render)
    for control in (entry, how, count):
        control.observe(update, "value")
    update()
    return base.View("Search map", [entry, how, count, output], question=entry, how=how, count=count, output=output)


def _picture(search: retrieval.Search, places: Any, own: Any, table: Any) -> str:
    low, high = places.min(0), places.max(0)

    def at(place: Any) -> tuple[float, float]:
        x, y = (min(1.0, max(0.0, float(part))) for part in (place - low) / (high - low))
        return _EDGE + x * (_WIDTH - 2 * _EDGE), _HEIGHT - _EDGE - y * (_HEIGHT - 2 * _EDGE)

    rank = {name: number for number, name in zip(table.index, table.id, strict=True)}
    dots = []
    for passage, place in zip(search.passages, places, strict=True):
        x, y = at(place)
        title = f"<title>{base.escape(passage['id'])}</title>"
        if number := rank.get(passage["id"]):
            disc = f'<circle cx="{x:.0f}" cy="{y:.0f}" r="9" fill="{base.TINTS[1]}" stroke="currentColor"/>'
            dots.append(f"<g>{title}{disc}{_text(number, x, y + 4, 11)}</g>")
        else:
            dots.insert(
                0, f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="currentColor" opacity=".35">{title}</circle>'
            )
    x, y = at(own)
    star = _text("★", x, y + 7, 22)
    label = f"Map of {len(places)} passages; the question is a star; nearest: {', '.join(table.id)}"
    return (
        f'<svg role="img" aria-label="{base.escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'style="width:100%;max-width:{_WIDTH}px;border:1px solid rgba(128,128,128,.4)">{"".join(dots)}{star}</svg>'
    )


def _text(text: Any, x: float, y: float, size: int) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="{size}" fill="currentColor">{text}</text>'


def _list(table: Any) -> str:
    rows = []
    for row in table.itertuples():
        words = f"shared words: {base.escape(row.shared)}" if row.shared else "no shared word"
        rows.append(
            f"<p><b>{row.Index}. {base.escape(row.id)}</b>, {base.escape(row.document)}<br>"
            f'<span style="{base.FAINT}">cosine {row.cosine:.2f}, BM25 {row.bm25:.1f}, {words}</span>'
            f"<br>{base.escape(row.text)}</p>"
        )
    return "".join(rows)
