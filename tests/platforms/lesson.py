"""Runs in Colab's Python, in an empty folder, with the installed package alone: one lesson, and what came of it.

`lesson.py 05` prints JSON: why it failed, if it did; its errors; the widgets that it showed; seconds and memory.
"""

import json
import sys

from author.executor import execute
from labkit.base import assets
from labkit.front import lesson_list


def main(number):
    """Run the lesson as the package ships it."""
    assert assets.checkout() is None, "this has to be the installed package, not a checkout"
    (file,) = lesson_list.find([number])
    report = execute(file)
    code = [cell for cell in report.notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    unmarked = [cell for cell in code if "raises-exception" not in cell.metadata.get("tags", [])]
    errors = [output.evalue for cell in unmarked for output in cell.outputs if output.output_type == "error"]
    warned = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    figures = {"seconds": round(report.seconds, 1), "peak_gb": round(report.peak_bytes / 1e9, 2)}
    failures = [cell.failure for cell in report.cells if cell.failure]
    widgets = [cell.number for cell in report.cells if cell.widgets]
    print(json.dumps({"failures": failures, "errors": errors, "stderr": warned, "widgets": widgets, **figures}))


if __name__ == "__main__":
    main(sys.argv[1])
