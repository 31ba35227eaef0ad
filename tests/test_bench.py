"""The arithmetic and the form of `labkit bench`; the times themselves are reported, never asserted."""

import json

import pytest

from labkit import bench
from labkit.errors import LabError


def test_interleaved_measures_take_turns():
    calls = []
    results = bench.interleaved(3, lambda: calls.append("a") or 1.0, lambda: calls.append("b") or 2.0)
    assert results == [[1.0] * 3, [2.0] * 3]
    assert calls == ["a", "b", "b", "a", "a", "b"]


def test_ratio_is_of_pairs():
    found = bench.ratio("x", [1.0, 8.0, 3.0], [1.0, 4.0, 1.0])
    assert (found.median, found.low, found.high, found.pairs) == (2.0, 1.0, 3.0, 3)


def test_an_unknown_section_names_the_known_ones():
    with pytest.raises(LabError, match="choose from startup, decode, quantization, lessons"):
        bench.bench(["speed"])


@pytest.mark.slow
def test_startup_as_json(course_cache, capsys):
    assert bench.bench(["startup", "--quick", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and document["machine"]["cores"] >= 1
    rows = {row["what"]: row for row in document["sections"][0]["rows"]}
    assert rows["import labkit"]["loads_torch"] is False
    assert rows["labkit.start() warm"]["loads_torch"] is False
    assert all(row["lowest_s"] <= row["median_s"] <= row["highest_s"] for row in rows.values())
