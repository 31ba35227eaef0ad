"""Results as CSV files that a class can merge, one row per method and machine; and a chart of size against quality.

Knows the columns. Knows nothing of how a number was measured (`labkit bench quantization` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import assets, cache
from labkit.base.errors import LabError

if TYPE_CHECKING:
    import pandas as pd

# What every file has to have; others may stand beside them.
COLUMNS = ("machine", "date", "method", "disk_MB", "memory_MB", "decode_tokens_per_s", "perplexity", "kl")


def save(table: pd.DataFrame, file: Path | str) -> Path:
    """Write `table` as CSV (UTF-8), in one step. LabError when a column of `COLUMNS` is missing."""
    _check(table, str(file))
    cache.write_atomically(Path(file), table.to_csv(index=False, lineterminator="\n"))
    return Path(file)


def merge(files: Mapping[str, Path | str] | list[Path | str]) -> pd.DataFrame:
    """One table out of many files; a mapping `{name: file}` renames the machines, for example to the learners' own.

    Rows that are equal in machine, date and method count once. LabError names the file that does not fit.
    """
    import pandas as pd

    named = files.items() if isinstance(files, Mapping) else [(None, file) for file in files]
    tables = []
    for name, file in named:
        try:
            table = pd.read_csv(file, encoding="utf-8")
        except (OSError, ValueError) as problem:  # pandas' own errors are ValueErrors
            raise LabError(f"{file} cannot be read as a table ({problem}): is it a CSV file of this course?") from None
        _check(table, str(file))
        tables.append(table.assign(machine=name) if name else table)
    if not tables:
        raise LabError("There are no files to put together: give at least one.")
    together = pd.concat(tables, ignore_index=True)
    return together.drop_duplicates(["machine", "date", "method"], keep="last").reset_index(drop=True)


def stored() -> pd.DataFrame:
    """The course's own table, measured once (its columns `machine` and `date` say where and when), for rows that cannot
    be measured on the learner's machine. Sizes and quality hold anywhere; memory and speed are of that machine alone.
    """
    return merge([assets.path("evaluation", "quantization.csv")])


def pareto_front(sizes: pd.Series, errors: pd.Series) -> pd.Series:
    """Which rows no other row beats: none is as small and better, nor as good and smaller. Of equal rows the first.

    >>> import pandas as pd
    >>> pareto_front(pd.Series([3, 1, 2]), pd.Series([5.0, 9.0, 9.5])).tolist()
    [True, True, False]
    """
    import pandas as pd

    table = pd.DataFrame({"size": sizes.to_numpy(), "error": errors.to_numpy(dtype=float)}).sort_values(
        ["size", "error"], kind="stable"
    )
    best = table["error"].cummin().shift(fill_value=float("inf"))
    on_front = (table["error"] < best).sort_index()
    return pd.Series(on_front.to_numpy(), index=sizes.index)


def chart(table: pd.DataFrame, quality: str = "perplexity") -> Any:
    """Size against `quality` (a column, less is better) of a table of results with its Pareto front: matplotlib axes.

    The area of a mark is the speed of writing, so one picture holds all three. Rows that lack a number are left out.
    """
    import matplotlib.pyplot as plt

    table = table.dropna(subset=["disk_MB", "decode_tokens_per_s", quality]).sort_values("disk_MB")
    front = pareto_front(table["disk_MB"], table[quality].round(1))
    area = 300 * table["decode_tokens_per_s"] / table["decode_tokens_per_s"].max()
    _, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for rows, marker, colour, label in (
        (~front, "o", "tab:gray", "another is smaller and no worse"),
        (front, "s", "tab:blue", "Pareto front"),
    ):
        line = "--" if marker == "s" else ""
        axes.plot(table["disk_MB"][rows], table[quality][rows], marker + line, color=colour, label=label)
        axes.scatter(table["disk_MB"][rows], table[quality][rows], s=area[rows], color=colour, alpha=0.3)
    for place, (_, row) in enumerate(table[front].iterrows()):
        # Neighbours on the front lie close together: their names stand above and below in turn.
        offset, side = ((8, 6), "left") if place % 2 == 0 else ((-8, -14), "right")
        spot = (row["disk_MB"], row[quality])
        axes.annotate(row["method"], spot, textcoords="offset points", xytext=offset, ha=side, fontsize=9)
    axes.set(
        xlabel="file, MB",
        ylabel=quality,
        xscale="log",
        yscale="log",
        title="The larger the shade, the faster it writes",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("{x:,.0f}")
    axes.margins(0.15)
    axes.legend()
    return axes


def _check(table: pd.DataFrame, where: str) -> None:
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise LabError(f"{where} lacks the columns {', '.join(missing)}: it is not a table of this course.")
    numbers = table[list(COLUMNS[3:])]
    wrong = [column for column in numbers if numbers[column].dtype.kind not in "fiu" and numbers[column].notna().any()]
    if wrong:
        raise LabError(f"{where} has text where numbers belong, in {', '.join(wrong)}: was it edited by hand?")
