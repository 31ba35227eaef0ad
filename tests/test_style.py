"""The code is in the one style that pyproject.toml sets; imports point down through the layers only, in no circle."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

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
]
PACKAGES = ["labkit", "author"]


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
    """The known modules that a file imports, inside functions too; not those for type checking only."""
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
            found |= {alias.name for alias in node.names}
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
    found = graph(ROOT, PACKAGES)
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
    assert not (found := circle(graph(ROOT, PACKAGES))), " imports\n".join(found)


def test_every_layer_is_there():
    names = [f"{name.removeprefix('labkit.')}." for name in modules(ROOT, PACKAGES)]
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
