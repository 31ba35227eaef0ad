"""The token explorer: what `labkit.tokens.table` says of a text, as coloured pieces, while you type."""

from __future__ import annotations

import functools
from typing import Any

import ipywidgets

from labkit.facts import tokens
from labkit.lessons.widgets import base

_MOST = 1500  # more pieces than this would make the page slow


def token_explorer(tokenizer: Any, text: str = "Unbelievable! 2026 tokens cost 3.50 €") -> base.View:
    """Type a text and see its tokens; the same facts as `labkit.tokens.table(text, tokenizer)`.

    A box adds what one sentence costs in several languages: `labkit.tokens.by_language(tokenizer)`.
    """
    entry = base.control(ipywidgets.Textarea, "Text", text, rows=3)
    details = ipywidgets.Checkbox(value=False, description="Show the bytes of each token", indent=False)
    languages = ipywidgets.Checkbox(value=False, description="Compare the cost of languages", indent=False)
    output = base.panel()
    compared = functools.cache(lambda: _languages(tokens.by_language(tokenizer)))
    update = base.refresh(
        output, lambda: _render(entry.value, tokenizer, details.value, compared() if languages.value else "")
    )
    for control in (entry, details, languages):
        control.observe(update, "value")
    update()
    parts = {"text": entry, "details": details, "languages": languages, "output": output}
    return base.View("Token explorer", [entry, details, languages, output], **parts)


def _render(text: str, tokenizer: Any, details: bool, below: str) -> str:
    found = tokens.pieces(text, tokenizer, most=_MOST)
    count = tokens.count(text, tokenizer)
    chips = "".join(_chip(place, token, details) for place, token in enumerate(found))
    more = f"<p>... and {count.tokens - _MOST:,} more</p>" if count.tokens > _MOST else ""
    plural = "s" * (count.tokens != 1)
    sizes = f"<b>{count.tokens:,} token{plural}</b> · {count.words:,} words · {count.characters:,} characters"
    ratio = f" · {count.tokens_per_word:.2f} tokens a word" if count.words else ""
    return base.block(f"<p>{sizes} · {count.bytes:,} bytes{ratio}</p><div>{chips}</div>{more}{below}")


def _languages(table: Any) -> str:
    """A bar a language. Its number stands beside it, so that the bar is not the only sign."""
    most = table.times.max()
    lines = "".join(
        f'<tr><td style="width:18%;text-align:right">{base.escape(language)}</td><td style="padding:0 8px">'
        f'<div style="height:14px;width:{100 * row.times / most:.1f}%;background:rgba(66,133,244,.75);'
        'border-radius:2px"></div></td><td style="width:42%;line-height:1.3">'
        f"{row.tokens:.0f} tokens, {row.tokens_per_word:.1f} a word: <b>{row.times:.1f} times the cost</b></td></tr>"
        for language, row in table.iterrows()
    )
    head = f"<p>One sentence (<i>{base.escape(tokens.SENTENCES['English'])}</i>) in {len(table)} languages:</p>"
    return f'{head}<table style="width:100%;border-collapse:collapse;{base.TEXT}">{lines}</table>'


def _chip(place: int, token: tokens.Token, details: bool) -> str:
    style = (
        f"display:inline-block;margin:2px;padding:2px 6px;border-radius:4px;text-align:center;{base.MONO};"
        f"background:{base.TINTS[place % len(base.TINTS)]};border:1px solid rgba(128,128,128,.5)"
    )
    small = f'<br><span style="font-size:75%;{base.FAINT}">{token.id}</span>'
    if details:
        small += f'<br><span style="font-size:75%;{base.FAINT}">{token.bytes.hex(" ")}</span>'
    return f'<span style="{style}">{base.escape(token.text, visible_spaces=True)}{small}</span>'
