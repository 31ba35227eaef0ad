"""The table of contents is true: each name leads somewhere, and each name that lessons use is in it."""

import json
import re

import pytest

import labkit
from labkit.base import assets


@pytest.mark.parametrize("name", labkit._CONTENTS)
def test_each_name_leads_somewhere(name):
    assert getattr(labkit, name) is not None and name in dir(labkit)


def test_every_name_of_the_lessons_is_in_it():
    used = set()
    for file in assets.notebook_dir().rglob("*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            used |= set(re.findall(r"\blabkit\.(\w+)\b", text))
            for names in re.findall(r"from labkit import ([\w, ]+)", text):
                used |= {name.split(" as ")[0] for name in names.split(", ")}
    folders = {path.name for path in assets.PACKAGE.iterdir() if path.is_dir()}
    assert used - {"json"} <= set(labkit._CONTENTS) | folders  # labkit.json is a file's name
