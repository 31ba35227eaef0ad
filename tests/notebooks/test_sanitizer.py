"""The comparison looks past what differs by nature, and past nothing else: what must not be hidden is tried here."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from author.canonical import IGNORED, SANITIZER, canonical_outputs, sanitize, sanitizer_patterns
from author.share import Share, changes, is_compared, share

START = "Lesson 05 · local world · CPU (2 cores), fp32 · 21.3 GB of 25.3 GB memory free · SmolLM2-135M-Instruct"
BAR = "100%|██████████| 10/10 [00:00<00:00, 1234.50it/s]"


def compared(text: str) -> str:
    """What is left of printed text when it is compared."""
    output = canonical_outputs([new_output("stream", text=text)])[0]
    return sanitize(output.text)


SAME = [
    (START, START.replace("CPU (2 cores), fp32", "NVIDIA T4 (8 cores), fp16")),
    (START, START.replace("21.3 GB of 25.3 GB", "1.9 GB of 12.7 GB")),
    (START.replace("world", "world (the Hub does not answer)"),) * 2,
    (BAR, BAR.replace("[00:00<00:00, 1234.50it/s]", "[01:02<00:10,  1.50s/it]")),
    (BAR, BAR.replace("[00:00<00:00, 1234.50it/s]", "[00:00<?, ?it/s]")),
    (BAR, BAR.replace("1234.50it/s", "3.2kB/s")),
    ("<object at 0x7f1b2c3d4e5f>", "<object at 0x55d0aabbccdd>"),
    ("http://127.0.0.1:43121/v1", "http://127.0.0.1:8765/v1"),
    ("http://localhost:43121/v1", "http://localhost:39999/v1"),
    ("/tmp/ipykernel_12/345.py:1: UserWarning", "/tmp/ipykernel_99/1.py:1: UserWarning"),
    ("IPY_MODEL_0123456789abcdef0123456789abcdef", "IPY_MODEL_ffffffffffffffffffffffffffffffff"),
    ("10%\r50%\r100%", "100%"),
    ("user-agent: unknown/None; hf_hub/2.4.0; python/3.11.7", "user-agent: unknown/None; hf_hub/1.27.0; python/3.13.1"),
]

DIFFERENT = [
    (START, START.replace("Lesson 05", "Lesson 06")),
    (START, START.replace("local world", "live world")),
    (START, START.replace("135M", "360M")),
    (START, START.replace("world", "world (the Hub does not answer)")),
    (START, START.replace(" memory free", "")),
    (START, "It says: " + START.replace("21.3", "1.3")),
    (BAR, BAR.replace("10/10", "9/10")),
    (BAR, BAR.replace("100%", "90%")),
    ("user-agent: unknown/None; hf_hub/2.4.0; python/3.11", "user-agent: my/1; hf_hub/2.4.0; python/3.11"),
    ("hf_hub/2.4.0; python/3.11.7", "hf_hub/2.5.0; python/3.11.7"),
    ("[00:00<00:10]", "[00:00<00:11]"),
    ("it takes 5 s", "it takes 6 s"),
    ("it takes 5 seconds", "it takes 6 seconds"),
    ("12.5 tokens/s", "13.5 tokens/s"),
    ("12.5 it/s", "13.5 it/s"),
    ("0.5 GB of 1.5 GB memory free", "0.6 GB of 1.5 GB memory free"),
    ("1.25 ms", "1.26 ms"),
    ("2026-11-23", "2026-11-24"),
    ("12:30:00", "12:31:00"),
    ("46,080 bytes", "46,081 bytes"),
    ("0x1F600", "0x1F601"),
    ("token 0xff", "token 0xfe"),
    ("10.0.0.1:8000", "10.0.0.1:8001"),
    ("port 8000", "port 8001"),
    ("127.0.0.1/v1", "127.0.0.1/v2"),
    ("T_10000", "T_10001"),
    ("SmolLM2-135M", "SmolLM2-360M"),
    ("[1, 2, 3]", "[1, 2, 4]"),
    ("tensor([0.1234])", "tensor([0.1235])"),
    ("3f2a9c", "3f2a9d"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_looks_past(one, other):
    assert compared(one) == compared(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_does_not_look_past(one, other):
    assert compared(one) != compared(other)


def test_only_html_is_searched_for_the_ids_of_a_styler():
    def html(identifier):
        page = f'<style>#T_{identifier}_row0_col1 {{}}</style><table id="T_{identifier}">5</table>'
        return canonical_outputs([new_output("display_data", {"text/html": page})])[0].data["text/html"]

    assert html("9d175") == html("1a2b3") and "5</table>" in html("9d175")
    assert html("9d175") != html("9d175").replace("5</table>", "6</table>")


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_ordinary_text_is_compared_as_it_is(text):
    special = re.compile(r"0x|IPY_MODEL|altair-viz|127\.0\.0\.1|localhost|Lesson|[/\\~\r\x08]|\[\d")
    if not special.search(text):
        assert compared(text) == text


def test_the_file_is_in_the_format_that_nbval_reads():
    from nbval.plugin import get_sanitize_patterns

    text = SANITIZER.read_text(encoding="utf-8")
    assert get_sanitize_patterns(text) == sanitizer_patterns()
    assert len(sanitizer_patterns()) == text.count("\nregex:") == text.count("\nreplace:")


def cell(*outputs, tag=None):
    return new_code_cell("x", outputs=list(outputs), metadata={"tags": [tag]} if tag else {})


def test_what_counts_as_compared():
    printed = new_output("stream", text="5")
    picture = new_output("display_data", {"image/png": "aGk=", "text/plain": "<Figure size 1x1 with 1 Axes>"})
    assert is_compared(cell(printed)) and is_compared(cell(picture, printed))
    assert not is_compared(cell(picture)) and not is_compared(cell(printed, tag=IGNORED))
    assert not is_compared(cell(new_output("stream", text=" \n")))
    cells = [*(cell(printed) for _ in range(3)), cell(picture), cell()]
    assert share(new_notebook(cells=cells)) == Share(3, 4)
    assert str(Share(4, 5)) == "4 of 5 code cells with output compared (80 %)"
    assert Share(799, 1000).percent == 79 and Share(0, 0).percent == 100


def test_the_negative_control_changes_every_number_and_word():
    outputs = [
        new_output("stream", text=f"{START}\nfive is 5\n"),
        new_output("execute_result", {"text/plain": "[1.25]", "text/html": "<b>1.25</b>"}),
        new_output("error", ename="KeyError", evalue="'lost'", traceback=[]),
    ]
    found = list(changes(outputs))
    free = [what for what, _, allowed in found if allowed]
    assert "'21' instead of '22'" in free, "the machine's facts may differ"
    kept = {what.split(" instead")[0].strip("'") for what, _, allowed in found if not allowed}
    assert {"135", "five", "5", "is", "25", "1", "KeyError", "lost"} <= kept
    assert all(canonical_outputs(changed) != canonical_outputs(outputs) for _, changed, _ in found)
