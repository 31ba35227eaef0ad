"""The code is in the one style that pyproject.toml sets, and imports point down through the layers only."""

import ast
import subprocess
import sys

import pytest

from labkit import assets
from tests.rows import every

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
ROOT = assets.CHECKOUT

# From the ground up; a module may import its own layer and those below it, at any level of nesting.
LAYERS = [
    {"errors", "assets", "cache", "compatibility", "network", "bars", "teaching_data"},
    {"catalogue", "memory", "machine", "planning", "tokens", "licences", "pricing", "spending", "cards"},
    {"classroom", "models", "conversion", "privacy", "hub"},
    {"local", "sampling", "families", "inference", "quantization", "evaluation"},
    {"finetuning", "project", "judging"},
    {"exercises", "widgets", "progress"},
    {"session", "doctor", "rehearsal", "authoring", "work", "fetch", "bench", "cli", "site", "demos"},
]
# `progress.summary` counts the exercises, and an outcome is recorded in the progress: one layer, two directions.


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_ruff(command):
    run = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def rank(name: str) -> int:
    return next(place for place, layer in enumerate(LAYERS) if name in layer)


def imports(file) -> set[str]:
    """The labkit modules that a file imports, inside functions too; not for type checking only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in typing_only and (node.module or "").startswith("labkit"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {name for name in found if any(name in layer for layer in LAYERS)}


@every(sorted(set().union(*LAYERS)))
def test_imports_point_down(name):
    place = ROOT / "labkit" / name
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for file in files:
        higher = {other for other in imports(file) if rank(other) > rank(name)}
        assert not higher, f"{file.name} imports {higher} from a layer above"


def test_every_module_has_its_layer():
    there = {path.stem for path in (ROOT / "labkit").iterdir() if not path.name.startswith(("_", "."))}
    assert there == set().union(*LAYERS)
