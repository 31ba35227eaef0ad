"""The course as Colab runs it: Python 3.13 with Colab's own versions, `google.colab`, and nothing but the package.

`python lab.py test --colab` makes the environment with a Python 3.13 (`author.colab`). The set-up cell of a
lesson installs the course there, by pip, from a git repository, as it does on Colab; then all lessons run. Outputs are
not compared: they belong to the newest versions. What cannot be had here is Colab's own front end, and its GPU. Where
the environment is there already, `python lab.py test` runs the set-up cell and lesson 00 in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from author import colab
from labkit.base import assets
from labkit.front import lesson_list

HERE = Path(__file__).parent
STAND_IN = HERE / "stand_in"
NUMBERS = [lesson.number for lesson in lesson_list.lessons()]
# Tests that hold with Colab's versions too. Quick ones first: they say more than a lesson that fails.
LOWER_END = (
    *(
        "tests/lessons/widgets",
        "tests/lessons/test_session.py",
        "tests/base/test_machine.py",
        "tests/world/test_privacy.py",
        "tests/test_gpu_plans.py",
    ),
    *(
        "tests/world/test_hub_client.py",
        "tests/world/test_inference_client.py",
        "tests/models/finetuning",
        "tests/world/servers",
    ),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def python() -> Path:
    """The environment's Python; skips where there is none."""
    if assets.checkout() is None or (found := colab.ready()) is None:
        pytest.skip("there is no environment like Colab's: `python lab.py test --colab` makes one")
    return found


def environment(cache: Path, *paths: Path, **changes: str) -> dict[str, str]:
    """The variables of a process in Colab's place, which is not this one's: no checkout on its path."""
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "HF_TOKEN", "LABKIT_MODE", "LABKIT_MODEL", "LABKIT_ENDPOINT")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = os.pathsep.join(map(str, paths))
    own = {"LABKIT_CACHE": str(cache), "PYTHONPATH": path, "COLAB_RELEASE_TAG": "release-colab_20260819"}
    return {**kept, **own, **changes}


def said(command: list[object], folder: Path, variables: dict[str, str], seconds: int = 1200) -> dict:
    """The JSON that a program prints last."""
    run = subprocess.run(
        [*map(str, command)], cwd=folder, env=variables, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def published(folder: Path) -> dict[str, str]:
    """Put what is in the checkout into a git repository, and send whoever asks GitHub for the course there."""
    from author import template

    where, root = template.source(), assets.CHECKOUT
    repository, author = folder / "repository", ["-c", "user.name=course", "-c", "user.email=course@localhost"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    as_it_is = ["git", f"--git-dir={repository / '.git'}", f"--work-tree={root}"]
    subprocess.run([*as_it_is, "add", "--", "."], cwd=root, check=True)
    subprocess.run([*as_it_is, *author, "commit", "--quiet", "--message", "The course"], cwd=root, check=True)
    subprocess.run([*as_it_is, "tag", where.release], cwd=root, check=True)
    settings = {f"url.{repository.as_uri()}.insteadOf": f"https://github.com/{where.repository}"}
    settings |= {"safe.directory": "*", "protocol.file.allow": "always"}
    names = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **names, **values}


@pytest.fixture(scope="session")
def installed(python: Path, _cache_with_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the set-up cell of lesson 00 said and did in an environment without the course. Done once."""
    folder = tmp_path_factory.mktemp("colab")
    before = colab.reset()
    assert "open-models-lab" not in colab.packages(python)
    variables = environment(_cache_with_model, STAND_IN, **published(folder))
    (notebook,) = lesson_list.find(["00"])
    found = said([python, HERE / "setup_cell.py", notebook], folder, variables)
    return {**found, "before": before, "after": colab.packages(python)}


def test_the_environment_has_colabs_versions(python):
    have = colab.reset()
    assert {name: have.get(name) for name in colab.listed()} == colab.listed()


def test_the_setup_cell_installs_the_course_and_replaces_nothing(installed):
    assert installed["errors"] == []
    assert installed["where"].split() == ["google.colab._shell", "colab"]
    lesson, progress = installed["setup"].splitlines()[-2:]
    assert lesson.startswith("Lesson 00 · local world · ")
    assert "labkit.progress.upload()" in progress  # the machine is new, and has no progress yet
    before, after = installed["before"], installed["after"]
    assert {name: after.get(name) for name in before} == before
    assert json.loads(installed["changed"]) == []
    assert "open-models-lab" in after


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=pytest.mark.weekly if number != "00" else ()) for number in NUMBERS]
)
def test_a_lesson_runs_with_the_package_alone(installed, python, _cache_with_model, tmp_path, number):
    asked = tmp_path / "asked.txt"
    tools = tmp_path / "tools"  # what runs a lesson is the authors': beside the package, not in it
    shutil.copytree(assets.CHECKOUT / "author", tools / "author")
    variables = environment(_cache_with_model, STAND_IN, tools, COLAB_ASKED=str(asked))
    found = said([python, "-P", HERE / "lesson.py", number], tmp_path, variables)
    assert (found["failures"], found["errors"]) == ([], [])
    assert found["widgets"] == widget_cells(number)
    assert not asked.exists(), "a window asked the learner for a secret"
    print(f"{found['seconds']} s, {found['peak_gb']} GB at the peak; {''.join(found['stderr'])[-2000:]}")


def widget_cells(number: str) -> list[int]:
    """The code cells of a lesson that show a widget, by what its stored outputs say in a widget's place."""
    import nbformat

    (file,) = lesson_list.find([number])
    code = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    words = ["".join(o.get("data", {}).get("text/plain", "") for o in cell.outputs) for cell in code]
    return [place for place, text in enumerate(words) if "run this cell to use it" in text]


def test_every_lesson_has_a_widget_to_look_for():
    assert all(widget_cells(number) for number in NUMBERS)


@pytest.mark.weekly
def test_tests_of_the_course_hold_at_the_lower_end(installed, python, _cache_with_model):
    chosen = ["-m", "not slow and not browser and not network", "-p", "no:cacheprovider", "-q"]
    variables = environment(_cache_with_model)
    del variables["COLAB_RELEASE_TAG"]  # these are about versions, not about the place
    command = [str(python), "-m", "pytest", *chosen, *LOWER_END]
    run = subprocess.run(command, cwd=assets.CHECKOUT, env=variables, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
