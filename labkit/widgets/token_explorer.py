"""The token explorer: what `labkit.tokens.table` says of a text, as coloured pieces, while you type."""

from __future__ import annotations

from typing import Any

import ipywidgets

from labkit import tokens
from labkit.widgets import base

_MOST = 1500  # more pieces than this would make the page slow


def token_explorer(tokenizer: Any, text: str = "Unbelievable! 2026 tokens cost 3.50 €") -> base.View:
    """Type a text and see its tokens; the same facts as `labkit.tokens.table(text, tokenizer)`."""
    entry = base.control(ipywidgets.Textarea, "Text", text, rows=3)
    details = ipywidgets.Checkbox(value=False, description="Show the bytes of each token", indent=False)
    output = base.panel()
    update = base.refresh(output, lambda: _render(entry.value, tokenizer, details.value))
    entry.observe(update, "value")
    details.observe(update, "value")
    update()
    return base.View("Token explorer", [entry, details, output], text=entry, details=details, output=output)


def _render(text: str, tokenizer: Any, details: bool) -> str:
    found = tokens.pieces(text, tokenizer)
    count = tokens.count(text, tokenizer)
    chips = "".join(_chip(place, token, details) for place, token in enumerate(found[:_MOST]))
    more = f"<p>... and {len(found) - _MOST:,} more</p>" if len(found) > _MOST else ""
    sizes = f"<b>{count.tokens:,} tokens</b> · {count.words:,} words · {count.characters:,} characters"
    ratio = f" · {count.tokens_per_word:.2f} tokens a word" if count.words else ""
    return base.block(f"<p>{sizes} · {count.bytes:,} bytes{ratio}</p><div>{chips}</div>{more}")


def _chip(place: int, token: tokens.Token, details: bool) -> str:
    style = (
        f"display:inline-block;margin:2px;padding:2px 6px;border-radius:4px;text-align:center;{base.MONO};"
        f"background:{base.TINTS[place % len(base.TINTS)]};border:1px solid rgba(128,128,128,.5)"
    )
    small = f'<br><span style="font-size:75%;{base.FAINT}">{token.id}</span>'
    if details:
        small += f'<br><span style="font-size:75%;{base.FAINT}">{token.bytes.hex(" ")}</span>'
    return f'<span style="{style}">{base.escape(token.text, visible_spaces=True)}{small}</span>'
