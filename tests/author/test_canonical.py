"""One form for stored notebooks: a second run changes nothing but what is really different."""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path

import nbformat
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from author.canonical import IGNORED, canonical, canonical_outputs, digest, keep_what_did_not_change, text_of


def notebook_of(*outputs, source="x", tags=(), count=1):
    cell = new_code_cell(source, id="a", outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)})
    return new_notebook(cells=[new_markdown_cell("# T", id="t"), cell])


def test_metadata_is_reduced_to_what_matters():
    raw = notebook_of(tags=["b", "a"], count=7)
    raw.cells[1].metadata |= {"execution": {"iopub.status.busy": "2026"}, "collapsed": True}
    raw.metadata = {
        "widgets": {"state": {}},
        "kernelspec": {"name": "mine", "display_name": "Mine"},
        "language_info": {"version": "3.11.7", "name": "python"},
    }
    fresh = canonical(raw)
    assert fresh.cells[1].metadata == {"tags": ["a", "b"]} and fresh.cells[0].metadata == {}
    assert [cell.id for cell in fresh.cells] == ["t", "a"] and fresh.cells[1].execution_count == 1
    assert set(fresh.metadata) == {"kernelspec", "language_info", "labkit"}
    assert fresh.metadata.kernelspec.name == "python3" and "version" not in fresh.metadata.language_info
    nbformat.validate(fresh)


def test_it_is_its_own_canonical_form():
    raw = notebook_of(
        new_output("stream", text="a\n"),
        new_output("execute_result", {"text/plain": "<x at 0x7f0011223344>"}, execution_count=3),
    )
    once = canonical(raw)
    assert canonical(once) == once and text_of(canonical(once)) == text_of(once)
    assert text_of(once).endswith("}\n") and not text_of(once).endswith("\n\n")
    assert nbformat.reads(text_of(once), as_version=4) == once


def test_a_cell_that_was_not_run_stays_so():
    assert canonical(notebook_of(count=None)).cells[1].execution_count is None


def test_streams_are_merged_between_other_outputs():
    picture = new_output("display_data", {"text/plain": "P"})
    streams = [new_output("stream", name=name, text=name[-1]) for name in ("stderr", "stdout", "stderr")]
    out = canonical_outputs([*streams, picture, new_output("stream", text="later")])
    kinds = [o.get("name") or o.data["text/plain"] for o in out]
    assert kinds == ["stdout", "stderr", "P", "stdout"] and out[1].text == "rr"


def test_a_progress_bar_is_stored_as_it_ended():
    bar = [new_output("stream", name="stderr", text=text) for text in ("\r 0%", "\r 50%", "\r100%\n")]
    assert canonical_outputs(bar)[0].text == "\r100%\n".lstrip("\r")
    assert canonical_outputs([new_output("stream", text="ab\x08c")])[0].text == "ac"


def test_widget_views_go_and_their_description_stays():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    assert canonical_outputs([new_output("display_data", view)]) == []
    (kept,) = canonical_outputs([new_output("display_data", view | {"text/plain": "IntSlider(value=3)"})])
    assert kept.data == {"text/plain": "IntSlider(value=3)"}


def test_folders_are_named_and_nothing_else_is():
    def printed(text, places=None):
        return canonical_outputs([new_output("stream", text=text)], places)[0].text

    assert printed(f"{Path.home()}/notes.txt") == "HOME/notes.txt"
    assert printed(repr(f"{tempfile.gettempdir()}/tmpab12cd_9/x")) == "'TMP/RANDOM/x'"
    assert printed(f"{sys.prefix}/lib") == "PYTHON/lib"
    assert printed("/run/here/a", {"/run/here": "WORK"}) == "WORK/a"
    assert printed("/run/here-after", {"/run/here": "WORK"}) == "/run/here-after"
    assert printed("x/run/here", {"/run/here": "WORK"}) == "x/run/here"
    assert printed("\x1b[32m/run/here\x1b[0m", {"/run/here": "WORK"}) == "\x1b[32mWORK\x1b[0m"
    assert printed("C:\\run\\here 'C:\\\\run\\\\here'", {"C:\\run\\here": "WORK"}) == "WORK 'WORK'"
    assert printed("see https://example.org/tmp/a") == "see https://example.org/tmp/a"


def test_the_digest_tells_changed_code_from_changed_outputs():
    one = notebook_of(new_output("stream", text="a"))
    assert digest(one) == digest(notebook_of())
    assert digest(one) != digest(notebook_of(source="y"))
    assert digest(one) != digest(notebook_of(tags=[IGNORED]))


def keep(old, new):
    fresh = canonical(new)
    keep_what_did_not_change(fresh, canonical(old))
    return fresh.cells[1].outputs


def test_outputs_that_say_the_same_are_left_alone():
    bar = "100%|█| 3/3 [00:00<00:00, {}it/s]\n"
    old, new = (notebook_of(new_output("stream", text=bar.format(rate))) for rate in ("5.00", "7.00"))
    assert "5.00it/s" in keep(old, new)[0].text
    assert keep(old, notebook_of(new_output("stream", text="else")))[0].text == "else"


def test_a_changed_picture_is_stored_though_its_text_is_the_same():
    old, new = (
        notebook_of(new_output("display_data", {"text/plain": "<Figure>", "image/png": data}))
        for data in ("YQ==", "Yg==")
    )
    assert keep(old, new)[0].data["image/png"] == "Yg=="


def test_a_machines_own_output_is_kept_until_the_code_changes():
    old = notebook_of(new_output("stream", text="5 s"), tags=[IGNORED])
    assert keep(old, notebook_of(new_output("stream", text="6 s"), tags=[IGNORED]))[0].text == "5 s"
    assert keep(old, notebook_of(new_output("stream", text="6 s"), tags=[IGNORED], source="y"))[0].text == "6 s"
    assert keep(notebook_of(tags=[IGNORED], count=None), notebook_of(new_output("stream", text="6 s")))[0].text == "6 s"


def test_timings_of_two_runs_never_stand_beside_each_other():
    """What is compared said something else: then all outputs are those of the new run."""

    def run(printed, seconds):
        notebook = notebook_of(new_output("stream", text=seconds), tags=[IGNORED])
        notebook.cells.append(new_code_cell("z", id="z", outputs=[new_output("stream", text=printed)]))
        notebook.cells[-1].execution_count = 2
        return notebook

    assert keep(run("same", "5 s"), run("same", "6 s"))[0].text == "5 s"
    assert keep(run("was", "5 s"), run("is", "6 s"))[0].text == "6 s"


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=20)), max_size=6))
def test_canonical_outputs_are_stable_and_leave_the_given_ones_alone(streams):
    outputs = [new_output("stream", name=name, text=text) for name, text in streams]
    before = copy.deepcopy(outputs)
    once = canonical_outputs(outputs)
    assert outputs == before and canonical_outputs(once) == once
