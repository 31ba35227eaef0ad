"""Each line of the table of faults names a test that is there."""

import re

import pytest

from labkit.base import assets

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)


def test_every_fault_names_its_test():
    lines = (assets.CHECKOUT / "docs" / "survives.md").read_text(encoding="utf-8").split("\n")
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| Fault")]
    named = [re.fullmatch(r"\|.+\|.+\| `(\S+\.py)::(test_\w+)` \|", row) for row in rows]
    assert len(rows) >= 60 and all(named), [row for row, found in zip(rows, named, strict=True) if not found]
    missing = [
        found[0]
        for found in named
        if f"def {found[2]}(" not in (assets.CHECKOUT / "tests" / found[1]).read_text(encoding="utf-8")
    ]
    assert missing == []
