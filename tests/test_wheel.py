"""The built wheel is complete: alone, in an empty folder, it runs lesson 00. Colab has nothing else."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from labkit.base import assets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(assets.checkout() is None, reason="a wheel is built in a checkout"),
]

RUN = """
import sys
from pathlib import Path
import labkit
from labkit import assets
from labkit.front import commands
from author.executor import execute
assert assets.checkout() is None, "the checkout was used, not the wheel"
assert str(Path(labkit.__file__)).startswith(sys.argv[1]), labkit.__file__
assert commands.copy_lessons(Path("work")) == []
report = execute(Path("work/00_start_here.ipynb"))
print([cell.failure for cell in report.cells if cell.failure], len(report.cells), Path("assets/figures").is_dir())
"""


def test_the_wheel_alone_runs_lesson_00(course_cache, tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(assets.CHECKOUT)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("open_models_lab-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    needed = ("labkit/_assets/catalogue/mistral-7b.toml", "labkit/_notebooks/00_start_here.ipynb")
    for name in (*needed, "labkit/_assets/figures/widget-chat.png", "labkit/front/demos/voila/index.html.j2"):
        assert name in names
    assert not [name for name in names if name.startswith(("author/", "tests/", "work/"))]
    packages, empty = tmp_path / "packages", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    tools = tmp_path / "tools"  # what runs a lesson is the authors': beside the wheel, not in it
    shutil.copytree(assets.CHECKOUT / "author", tools / "author")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(tools)])}
    run = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(packages)],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout.strip().splitlines()[-1] == "[] 14 True", run.stdout + run.stderr
