"""The code is in one style; imports point down through the layers, in no circle; no code is dead."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from labkit.base import assets

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
ROOT = assets.CHECKOUT

# From the ground up; a module may import what stands in its own layer and those below it, inside functions too. A name
# is a module of labkit, or a folder with all that is in it; of two that fit a module, the longer one counts.
LAYERS = [
    {"base"},
    {"facts"},
    # Within the world: what services share stands lowest, then weights, the servers, and the way to them.
    {"world", "world.services", "world.hub_settings", "world.spending", "world.privacy"},
    {"world.weights", "world.conversion"},
    {"world.model_server"},
    {"world.hub", "world.gateway"},
    {"world.hub_client"},
    {"world.inference_client"},
    {"models"},
    {"lessons"},
    {"front"},
    {"author"},
    {"tests"},
]
PACKAGES = ["labkit", "author"]
EVERYTHING = [*PACKAGES, "tests"]


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_ruff(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def modules(root: Path, packages: list[str]) -> dict[str, Path]:
    """The modules of these packages, by their dotted names."""
    found = {}
    for file in sorted(file for package in packages for file in (root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(file: Path, known: dict[str, Path]) -> set[str]:
    """The known modules that a file imports, inside functions too; not those for type checking only.

    A name that pytest finds beside a test (`import tiny`) is the module that lies there.
    """
    folder = next((name.rpartition(".")[0] for name, path in known.items() if path == file), "")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {name for alias in node.names for name in (alias.name, f"{folder}.{alias.name}")}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports by a relative name"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & known.keys()) | ({node.module} if names - known.keys() else set())
    return (found & known.keys()) - {name for name, path in known.items() if path == file}


def graph(root: Path, packages: list[str]) -> dict[str, set[str]]:
    known = modules(root, packages)
    return {name: imports(file, known) for name, file in known.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, the first again at the end; empty when there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as problem:
        return problem.args[1][::-1]  # each imports the next
    return []


def rank(module: str) -> int:
    if module == "labkit":  # the table of contents: it imports by name, when something is first used
        return 0
    if module == "labkit.__main__":
        return len(LAYERS)
    name = module.removeprefix("labkit.")
    for whole_or_folder in (name.rsplit(".", cut)[0] for cut in range(name.count(".") + 1)):
        for place, layer in enumerate(LAYERS):
            if whole_or_folder in layer:
                return place
    raise AssertionError(f"{module} has no layer: give it one in LAYERS")


def test_imports_point_down():
    found = graph(ROOT, EVERYTHING)
    upward = [f"{name} imports {other}" for name in found for other in found[name] if rank(other) > rank(name)]
    assert not upward, "\n".join(["from a layer above:", *sorted(upward)])


def test_inside_the_package_modules_are_imported_from_where_they_live():
    """`from labkit import memory` is for lessons: here it would hide which module needs which."""
    home = {"__version__"}
    for file in [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "labkit":
                assert {alias.name for alias in node.names} <= home, f"{file.name} imports from the table of contents"


def test_the_top_of_the_package_is_folders():
    loose = {path.name for path in (ROOT / "labkit").iterdir() if path.is_file()}
    assert loose == {"__init__.py", "__main__.py"}


def test_no_circle_of_modules():
    assert not (found := circle(graph(ROOT, EVERYTHING))), " imports\n".join(found)


def test_what_tests_share_is_in_no_test():
    """A test that is imported runs twice, or not at all."""
    found = graph(ROOT, EVERYTHING)
    shared = [f"{name} imports {o}" for name in found for o in found[name] if o.rpartition(".")[2].startswith("test_")]
    assert not shared, "\n".join(shared)


def test_every_layer_is_there():
    names = [f"{name.removeprefix('labkit.')}." for name in modules(ROOT, EVERYTHING)]
    assert [name for layer in LAYERS for name in layer if not any(it.startswith(f"{name}.") for it in names)] == []


def test_a_circle_is_found_inside_functions_too(tmp_path):
    (tmp_path / "kit" / "deep").mkdir(parents=True)
    (tmp_path / "kit" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "kit" / "high.py").write_text("from kit.deep import low\n", encoding="utf-8")
    low = tmp_path / "kit" / "deep" / "low.py"
    low.write_text("if TYPE_CHECKING:\n    from kit import high\n", encoding="utf-8")
    assert circle(graph(tmp_path, ["kit"])) == []
    for statement in ("from kit import high", "import kit.high", "from kit.high import something"):
        low.write_text(f"def late():\n    {statement}\n", encoding="utf-8")
        assert set(circle(graph(tmp_path, ["kit"]))) == {"kit.high", "kit.deep.low"}, statement


def names_used(code: str, *, only_lists: bool = False) -> set[str]:
    """The names that code reads, calls, asks for as a fixture or imports; of a text, those of the program in it."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ImportFrom) and not only_lists:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and re.search(r"import |^[\w.]+:\w+$", str(node.value)):
            found |= set(re.findall(r"\w+", node.value))
    return found


def unused(files: dict[str, str], callers: list[str]) -> list[str]:
    """Functions, classes and constants at the top of these modules (path: code) that neither they nor callers use."""
    used = set().union(*map(names_used, callers))
    for module, code in files.items():
        used |= names_used(code, only_lists=module.endswith("__init__"))
    found = []
    for module, code in files.items():
        for node in ast.parse(code).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = {getattr(node, "name", ""), *(getattr(target, "id", "") for target in targets)} - {""} - used
            if "autouse" not in "".join(map(ast.unparse, getattr(node, "decorator_list", []))):
                found += [f"{module}: {name}" for name in names if not name.startswith(("__", "test_", "pytest"))]
    return found


def test_no_code_is_dead():
    """pytest finds tests and hooks by their names, a lesson its exercises; `stand_in` has what Colab has."""
    by_name = re.compile(r"labkit.lessons.exercises.lesson\d|tests.platforms.stand_in")
    files = [file for package in EVERYTHING for file in (ROOT / package).rglob("*.py")]
    code = {str(file.relative_to(ROOT).with_suffix("")): file.read_text(encoding="utf-8") for file in files}
    callers = [(ROOT / name).read_text(encoding="utf-8") for name in ("lab.py", "conftest.py")]
    for file in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
        callers += [TransformerManager().transform_cell(cell.source) for cell in cells]
    found = [line for line in unused(code, callers) if not by_name.match(line)]
    assert not found, "nothing uses\n" + "\n".join(found)


def test_dead_code_is_seen():
    module = "def used(): ...\ndef dead(): ...\nLEFT = 1\nclass Kept: ...\n"
    files = {"kit/one": module, "kit/two": "from kit.one import used\n", "kit/__init__": "from kit.one import dead\n"}
    assert sorted(unused(files, ["import kit; kit.Kept()"])) == ["kit/one: LEFT", "kit/one: dead"]
