"""`rows.every`: no row is left out, and every one that is wrong is told."""

import re

import pytest

from tests.rows import every


@every([1, 2, 3])
def seen(row, found):
    found.append(row)


@every([1, 2, 3, 4], lambda row: f"row {row}")
def odd(row):
    assert row % 2


@every([0])
def broken(row):
    with pytest.raises(ZeroDivisionError):
        raise [][row]


def test_every_row_is_seen():
    found = []
    seen(found=found)
    assert found == [1, 2, 3]


def test_all_that_is_wrong_is_told():
    with pytest.raises(pytest.fail.Exception) as told:
        odd()
    assert re.match(r"2 of 4 rows:\nrow 2 \(line \d+\): .*\nrow 4 \(line \d+\): ", str(told.value))
    assert "row 1" not in str(told.value) and "row 3" not in str(told.value)


def test_an_error_is_a_fault_too_and_no_rows_are_one():
    with pytest.raises(pytest.fail.Exception, match="1 of 1 rows:\n0 .*IndexError"):
        broken()
    with pytest.raises(AssertionError, match="no row"):
        every([])(lambda row: None)()


@pytest.mark.parametrize("other", ["a"])
@every(range(2))
def test_fixtures_come_as_usual(row, other, tmp_path):
    assert other == "a" and tmp_path.is_dir()
