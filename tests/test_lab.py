"""lab.py as a newcomer meets it: real processes on a small copy of the course that installs in seconds, offline.

The small course has no dependencies but a pretended torch; its `labkit` says what it was asked to do.
"""

import os
import platform
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from labkit import assets

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
LAB = assets.CHECKOUT / "lab.py"
pytestmark = pytest.mark.slow
POSIX = pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
PYENV = Path.home() / ".pyenv" / "versions"

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "open-models-lab"
version = "1"
dependencies = []
[project.optional-dependencies]
lab = []
demos = []
site = []
test = ["extra-for-tests"]
"""
# A build backend of twenty lines makes the small course installable without fetching one.
BACKEND = """
import os, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "open_models_lab-1-py3-none-any.whl"
    if os.path.exists("slow"):
        open("building", "w").close()
        import time; time.sleep(20)
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("open_models_lab.pth", os.getcwd())
        info = "open_models_lab-1.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: open-models-lab\\nVersion: 1\\n"
                       "Provides-Extra: lab\\nProvides-Extra: demos\\nProvides-Extra: site\\nProvides-Extra: test\\n"
                       "Requires-Dist: extra-for-tests; extra == 'test'\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
def build_wheel(*_, **__): raise NotImplementedError
"""
LABKIT = """
import os, sys
print("labkit got", sys.argv[1:], os.environ.get("PYTHONUTF8"))
sys.exit(7 if "seven" in sys.argv else 0)
"""


def write_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def course(tmp_path):
    """The small course, in a folder with a space and an umlaut, and the wheels that it needs."""
    folder = tmp_path / "a cöurse"
    (folder / "labkit").mkdir(parents=True)
    shutil.copyfile(LAB, folder / "lab.py")
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "labkit" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "labkit" / "__main__.py").write_text(LABKIT, encoding="utf-8")
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, version in (("torch", "2.13.0+cpu"), ("torch", "2.13.0"), ("extra_for_tests", "1")):
        write_wheel(wheels, name, version)
    return folder


def environment(**changes: str) -> dict[str, str]:
    hosted = ("COLAB_RELEASE_TAG", "BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST", "JUPYTERHUB_USER")
    kept = {key: value for key, value in os.environ.items() if key not in hosted and not key.startswith("PIP_")}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **changes}


def lab(course: Path, *arguments: str, python: str = sys.executable, **changes: str) -> subprocess.CompletedProcess:
    command = [python, str(course / "lab.py"), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(**changes),
        cwd=course.parent,
        timeout=120,
    )


def offline(course: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
    return lab(course, "--offline", str(course / "wheels"), *arguments, **changes)


def pythons(course: Path) -> list[Path]:
    return sorted((course / ".venv" / ("Scripts" if os.name == "nt" else "bin")).glob("python*"))


def installed(course: Path) -> str:
    return subprocess.run([pythons(course)[0], "-m", "pip", "freeze", "--all"], capture_output=True, text=True).stdout


def test_a_first_run_installs_and_hands_over_and_a_second_reuses(course):
    first = offline(course)
    assert first.returncode == 0, first.stderr + first.stdout
    assert re.findall(r"\[(\d)/3\]", first.stdout) == ["1", "2", "3"]
    assert "labkit got ['lab'] 1" in first.stdout
    second = offline(course, "doctor", "--json")
    assert second.stdout == "labkit got ['doctor', '--json'] 1\n"


def test_exit_codes_and_options_pass_through(course):
    run = offline(course, "lab", "--no-browser", "--port", "8123", "seven")
    assert "labkit got ['lab', '--no-browser', '--port', '8123', 'seven']" in run.stdout
    assert run.returncode == 7
    assert "labkit got ['lab', '--no-browser']" in offline(course, "--no-browser").stdout


def test_only_test_installs_what_tests_need(course):
    offline(course)
    assert "extra-for-tests" not in installed(course).replace("_", "-")
    assert "[3/3]" in offline(course, "test").stdout
    assert "extra-for-tests" in installed(course).replace("_", "-")
    assert "[3/3]" not in offline(course).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has to avoid CUDA builds")
def test_without_an_nvidia_gpu_linux_gets_the_cpu_build(course):
    offline(course)
    assert "torch==2.13.0+cpu" in installed(course)


@pytest.mark.parametrize(
    ("system", "processor", "wanted"),
    [("linux", "x86_64", True), ("linux", "aarch64", True), ("darwin", "arm64", False), ("win32", "AMD64", False)],
)
def test_which_machines_get_the_cpu_build(monkeypatch, tmp_path, system, processor, wanted):
    front_door = runpy.run_path(str(LAB))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    assert front_door["wants_cpu_build"]() is wanted


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has to avoid CUDA builds")
def test_where_there_is_no_cpu_build_the_general_one_is_taken_and_announced(course):
    (course / "wheels" / "torch-2.13.0+cpu-py3-none-any.whl").unlink()
    run = offline(course)
    assert "No CPU build can be had here" in run.stdout and run.returncode == 0
    assert re.search(r"^torch==2\.13\.0$", installed(course), re.MULTILINE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has to avoid CUDA builds")
def test_with_a_working_nvidia_driver_the_general_build_is_taken(course, tmp_path):
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    driver.chmod(0o755)
    (course / "wheels" / "torch-2.13.0+cpu-py3-none-any.whl").unlink()
    run = offline(course, PATH=f"{driver.parent}{os.pathsep}{os.environ['PATH']}")
    assert "No CPU build" not in run.stdout and run.returncode == 0


def test_changed_requirements_are_installed(course):
    offline(course)
    changed = PYPROJECT.replace("dependencies = []", 'dependencies = ["extra-for-tests"]', 1)
    (course / "pyproject.toml").write_text(changed, encoding="utf-8")
    assert "[3/3]" in offline(course).stdout


def test_a_moved_course_is_repaired(course):
    offline(course)
    moved = course.with_name("moved")
    course.rename(moved)
    run = offline(moved)
    assert "Making .venv anew" in run.stdout and "labkit got ['lab']" in run.stdout, run.stderr


@pytest.mark.parametrize("damage", ["no python", "half made", "empty"])
def test_a_damaged_environment_is_repaired(course, damage):
    offline(course)
    if damage == "no python":
        for python in pythons(course):
            python.unlink()
    elif damage == "half made":
        shutil.rmtree(next(course.glob(".venv/[lL]ib*")))
    else:
        shutil.rmtree(course / ".venv")
        (course / ".venv").mkdir()
    run = offline(course)
    assert "Making .venv anew" in run.stdout and run.returncode == 0, run.stderr


def test_somebody_elses_environment_that_works_is_used_as_it_is(course):
    subprocess.run([sys.executable, "-m", "venv", str(course / ".venv")], check=True)
    kept = course / ".venv" / "mine.txt"
    kept.write_text("mine", encoding="utf-8")
    run = offline(course)
    assert "Using the .venv that is here already" in run.stdout and run.returncode == 0, run.stderr
    assert kept.exists()
    assert "Using the .venv" not in offline(course).stdout


def test_somebody_elses_environment_that_does_not_work_is_moved_aside(course):
    (course / ".venv").mkdir()
    (course / ".venv" / "mine.txt").write_text("mine", encoding="utf-8")
    run = offline(course)
    assert "is now .venv-old-" in run.stdout and run.returncode == 0, run.stderr
    assert [file.read_text(encoding="utf-8") for file in course.glob(".venv-old-*/mine.txt")] == ["mine"]


def test_the_activated_environment_can_be_made_anew(course):
    offline(course)
    moved = course.with_name("moved")
    course.rename(moved)
    run = lab(moved, "--offline", str(moved / "wheels"), python=str(pythons(moved)[0]))
    assert "Making .venv anew" in run.stdout and "labkit got ['lab']" in run.stdout, run.stderr


def test_a_torch_that_is_too_old_is_replaced(course):
    write_wheel(course / "wheels", "torch", "2.3.0")
    subprocess.run([sys.executable, "-m", "venv", str(course / ".venv")], check=True)
    old = course / "wheels" / "torch-2.3.0-py3-none-any.whl"
    subprocess.run([pythons(course)[0], "-m", "pip", "install", "--no-index", "-q", str(old)], check=True)
    assert offline(course).returncode == 0
    assert "torch==2.13.0" in installed(course)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has to avoid CUDA builds")
def test_a_damaged_cpu_build_does_not_bring_the_general_one(course):
    (course / "wheels" / "torch-2.13.0+cpu-py3-none-any.whl").write_bytes(b"half a file")
    run = offline(course)
    assert "Something went wrong while installing" in one_sentence(run)
    assert "No CPU build" not in run.stdout and "torch" not in installed(course)


@POSIX
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_installation_is_finished_by_the_next_run(course, how):
    (course / "slow").touch()
    command = [sys.executable, str(course / "lab.py"), "--offline", str(course / "wheels")]
    process = subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (course / "building").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, how)
    _, errors = process.communicate(timeout=30)
    if how == signal.SIGINT:
        assert "Nothing is lost" in errors and 'Traceback (most recent call last):\n  File "' + str(LAB) not in errors
    (course / "slow").unlink()
    assert "labkit got ['lab']" in offline(course).stdout


@POSIX
def test_two_at_once_do_not_disturb_each_other(course):
    command = [sys.executable, str(course / "lab.py"), "--offline", str(course / "wheels"), "doctor"]
    both = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert all("labkit got ['doctor']" in output for output, _ in outputs), outputs
    assert sum("waiting for it" in output for output, _ in outputs) == 1
    assert sum("[3/3]" in output for output, _ in outputs) == 1


def one_sentence(run: subprocess.CompletedProcess) -> str:
    assert run.returncode == 1
    assert run.stderr.startswith("lab.py: ") and run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    return run.stderr


def test_no_package_index_is_one_sentence(course):
    run = lab(course, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert "connect to the internet, or use `--offline FOLDER`" in one_sentence(run)
    assert "No CPU build" not in run.stdout


def test_an_empty_offline_folder_is_one_sentence(course, tmp_path):
    assert "There are no wheels in" in one_sentence(lab(course, "--offline", str(tmp_path / "nothing")))
    assert not (course / ".venv").exists()


def test_an_incomplete_offline_folder_is_one_sentence(course):
    for wheel in (course / "wheels").glob("torch*"):
        wheel.unlink()
    assert "missing in the offline folder" in one_sentence(offline(course))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("sys.platform = 'darwin'; platform.machine = lambda: 'x86_64'", "Intel processor"),
        ("shutil.disk_usage = lambda p: type('U', (), dict(free=10**9))", "needs 3 GB of disk and 1.0 GB are free"),
        ("sys.version_info = (3, 15, 0)", "This is Python 3.15 and the course needs 3.11 to 3.14"),
        ("sys.modules['ensurepip'] = None", "run `sudo apt install python3-venv`"),  # as on a bare Debian
        ("os.access = lambda *_: False", "cannot be written: copy the course to a folder of your own"),
    ],
)
def test_a_machine_that_will_not_do_is_one_sentence(course, change, sentence):
    program = (
        f"import os, platform, runpy, shutil, sys; {change}; sys.argv = ['lab.py']; "
        f"runpy.run_path({str(course / 'lab.py')!r}, run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert sentence in one_sentence(run)
    assert not (course / ".venv").exists()


@pytest.mark.parametrize(
    ("variable", "word"),
    [("COLAB_RELEASE_TAG", "Colab"), ("BINDER_SERVICE_HOST", "Binder"), ("JUPYTERHUB_USER", "JupyterHub")],
)
def test_hosted_environments_are_left_alone(course, variable, word):
    run = lab(course, **{variable: "x"})
    assert run.returncode == 0 and f"This is {'a ' if word == 'JupyterHub' else ''}{word}" in run.stdout
    assert not (course / ".venv").exists()


def test_help_needs_nothing(course):
    run = lab(course, "--help")
    assert run.returncode == 0 and "python lab.py test" in run.stdout
    assert not (course / ".venv").exists()


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_an_old_python_gets_a_sentence(course, version):
    found = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    run = subprocess.run([str(found[0]), str(course / "lab.py")], capture_output=True, env=environment(), timeout=60)
    assert run.returncode == 1
    assert run.stderr.decode().startswith(f"lab.py: This is Python {version} and the course needs 3.11 to 3.14")
