"""The drawings: stored as the script makes them, readable without anything outside, on a light and on a dark screen."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import nbformat

from author.figures import all_drawings, drawing
from labkit.base import assets
from tests.rows import every

DRAWN = ("release", "decoder-layer", "tied-and-untied", "kv-cache", "routing")
STORED = {file.stem: file for file in assets.path("figures").glob("*.svg")}


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours such as "#ffffff", from 1 to 21."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    return max(light(one), light(other)) / min(light(one), light(other))


def test_the_stored_drawings_are_those_of_the_script_and_all_are_used():
    made = {name: each.svg() for name, each in all_drawings().items()}
    assert {name: STORED[name].read_text(encoding="utf-8") for name in made} == made
    text = "".join(file.read_text(encoding="utf-8") for file in assets.notebook_dir().glob("*.ipynb"))
    assert [name for name in STORED if f"figures/{name}.svg" not in text] == []


@every(all_drawings().items(), lambda item: item[0])
def test_a_drawing_stands_alone_and_all_of_it_is_inside(item):
    root = ElementTree.fromstring(item[1].svg())
    assert not re.search(r"(href|src|url\()\s*=?\s*[\"']?(https?:|//)", item[1].svg())
    for place in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, width, height = (float(place.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + width <= item[1].width and y >= 0 and y + height <= item[1].height
    for words in root.iter("{http://www.w3.org/2000/svg}text"):
        room = 7.5 * len(words.text or "")  # a letter's width, on average, is less
        left = float(words.get("x")) - room * {"start": 0, "middle": 0.5, "end": 1}[words.get("text-anchor")]
        assert left >= -10 and left + room <= item[1].width + 10, words.text


def test_numbers_in_the_drawings_of_lesson_01_are_printed_by_its_cells():
    (lesson,) = assets.notebook_dir().glob("01_*.ipynb")
    cells = [cell for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "code"]
    printed = " ".join(output.get("text", "") for cell in cells for output in cell.outputs).replace(",", "")
    drawn = " ".join(re.sub(r"<style>.*?</style>", "", STORED[name].read_text(), flags=re.DOTALL) for name in DRAWN)
    numbers = {number for words in re.findall(r">([^<]+)<", drawn) for number in re.findall(r"\d[\d.]*\d", words)}
    assert {"538", "576", "30", "131", "0.548"} <= numbers
    assert [number for number in numbers if number not in printed] == []


def test_words_can_be_read_on_every_colour_of_both_screens():
    for kinds, ground in ((drawing._LIGHT, "light"), (drawing._DARK, "dark")):
        for fill, _ in kinds.values():
            for ink in drawing._INK[ground]:
                assert contrast(ink, kinds["page"][0] if fill == "none" else fill) > 4.5, (ground, fill, ink)


def test_badges_need_no_network():
    for file in assets.notebook_dir().glob("*.ipynb"):
        badges = nbformat.read(file, as_version=4).cells[1].source
        assert "![Open in Colab](../assets/figures/open-in-colab.svg)" in badges, file.name
