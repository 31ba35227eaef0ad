"""pyproject.toml, environment.yml and binder/ name the same packages with the same lower bounds."""

import re
import subprocess
import tomllib

import pytest
import yaml

from labkit.base import assets
from labkit.front import doctor

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
ROOT = assets.CHECKOUT
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
CONDA_SPEC = re.compile(r"^[a-z0-9_.-]+((>=|<)[0-9.]+)?(,<[0-9.]+)?$|^python=[0-9.]+$")


def project() -> dict:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def bounds(*extras: str) -> dict[str, str]:
    """The lower bound of every package, the highest where one of the extras raises it."""
    found: dict[str, str] = {}
    for line in project()["dependencies"] + [
        line for name in extras for line in project()["optional-dependencies"][name]
    ]:
        name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)>=([0-9.]+(?:; .+)?)", line).groups()
        found[name] = max(found.get(name, "0"), bound, key=_numbers)
    return found


def _numbers(bound: str) -> list[int]:
    return [int(part) for part in bound.partition(";")[0].split(".")]


def conda(file: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Packages with bounds of both sections, the conda specifications, and the other lines for pip."""
    dependencies = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["dependencies"]
    specs = [line for line in dependencies if isinstance(line, str)]
    piped = next(line["pip"] for line in dependencies if isinstance(line, dict))
    both = [line for line in [*specs, *piped] if ">=" in line and not line.startswith("python>=")]
    return dict(line.split(">=") for line in both), specs, [line for line in piped if ">=" not in line]


@pytest.mark.parametrize(
    ("file", "extras"), [("environment.yml", ["lab", "test"]), ("binder/environment.yml", ["lab"])]
)
def test_names_and_bounds_are_those_of_pyproject(file, extras):
    """On Binder nobody tests: what only tests need would make its solver slower and its image larger."""
    packages, specs, _ = conda(file)
    assert packages == {CONDA_NAMES.get(name, name): bound for name, bound in bounds(*extras).items()}
    assert all(CONDA_SPEC.match(spec) for spec in specs)


def test_binder_has_one_python_and_installs_the_course_later():
    (_, top_specs, extra), (_, binder_specs, none) = conda("environment.yml"), conda("binder/environment.yml")
    (python,) = set(binder_specs) - set(top_specs)
    lowest, highest = doctor.PYTHONS
    assert lowest <= tuple(map(int, python.removeprefix("python=").split("."))) <= highest
    assert (extra, none) == (["--editable ."], [])


def test_python_is_the_same_range_everywhere():
    wanted = project()["requires-python"]
    assert f"python{wanted}" in conda("environment.yml")[1]
    lowest, highest = doctor.PYTHONS
    assert wanted == f">={lowest[0]}.{lowest[1]},<{highest[0]}.{highest[1] + 1}"
    front_door = (ROOT / "lab.py").read_text(encoding="utf-8")
    assert f"OLDEST, NEWEST = {lowest}, {highest}" in front_door


def test_no_package_is_pinned_so_that_colab_keeps_its_own_torch():
    assert "==" not in " ".join(project()["dependencies"])


@pytest.mark.parametrize("script", [".ci/run", "binder/postBuild", "binder/start"])
def test_scripts_parse(script):
    assert subprocess.run(["bash", "-n", str(ROOT / script)]).returncode == 0


def test_binder_start_hands_over():
    assert (ROOT / "binder" / "start").read_text(encoding="utf-8").rstrip().endswith('exec "$@"')


@pytest.mark.parametrize(
    "file",
    [*sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob(".github/workflows/*.yml")), "CITATION.cff"],
)
def test_yaml_files_are_yaml(file):
    assert yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
