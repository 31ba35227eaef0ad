"""Runs in Colab's Python, without the course: a lesson's own set-up cell in a kernel like Colab's. What came of it?

`setup_cell.py NOTEBOOK` prints JSON: the cell's printed lines, its error if any, and which distributions that the
kernel had already imported have changed below it, which on Colab would call for a restart.
"""

import json
import sys

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

# Colab's kernels have these imported before a learner's first cell, or soon after.
BEFORE = "import importlib.metadata, sys\nimport IPython, numpy, pandas, matplotlib.pyplot, google.colab\n"
LOADED = """{
    name: importlib.metadata.version(distributions[0])
    for name, distributions in importlib.metadata.packages_distributions().items() if name in sys.modules
}"""


def main(file):
    """Run the cell between two looks at the imported distributions."""
    cells = nbformat.read(file, as_version=4).cells
    (setup,) = [cell.source for cell in cells if cell.cell_type == "code" and "%pip install" in cell.source]
    after = f"import json\nafter = {LOADED}\nprint(json.dumps([n for n in before if after.get(n) != before[n]]))"
    where = "print(type(get_ipython()).__module__, lab.machine.platform)"
    sources = [f"{BEFORE}before = {LOADED}", setup, after, where]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=600, allow_errors=True).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
    printed = ["".join(o.text for o in cell.outputs if o.output_type == "stream") for cell in notebook.cells]
    print(json.dumps({"errors": errors, "setup": printed[1], "changed": printed[2], "where": printed[3]}))


if __name__ == "__main__":
    main(sys.argv[1])
