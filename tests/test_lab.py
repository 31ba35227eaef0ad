"""lab.py as a newcomer meets it: real processes on a small copy of the course that installs in seconds, offline.

The small course has no dependencies but a pretended torch; its `labkit` says what it was asked to do, and notes when it
is told to fetch the model. Where the making of .venv is not the subject, a test gets a copy of one that was made
before. What can go wrong while installing is tried with uv and with pip alone: then the folder of wheels has no uv.
"""

import base64
import contextlib
import ensurepip
import hashlib
import http.server
import os
import platform
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import urllib.parse
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from labkit.base import assets

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
LAB = assets.CHECKOUT / "lab.py"
pytestmark = pytest.mark.slow
POSIX = pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
PYENV = Path.home() / ".pyenv" / "versions"
FRONT_DOOR = runpy.run_path(str(LAB))
UV = FRONT_DOOR["UV"]

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
        import time; time.sleep(8)
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
if "waits" in sys.argv:
    import time; sys.stdout.flush(); time.sleep(100)
sys.exit(7 if "seven" in sys.argv else 0)
"""
WEIGHTS = """
import os, subprocess, sys, time
def ensure(quiet):
    import filelock, gguf, platformdirs, psutil
    open("model-begun", "w").close()
    if os.path.exists("slow-model"):  # as pip, which downloads it
        subprocess.run([sys.executable, "-c", "import time; time.sleep(100)"])
"""


def write_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_uv_wheel(folder: Path) -> Path | None:
    """The wheel of the uv that is installed here, put together again from its files."""
    try:
        installed = metadata.distribution("uv")
    except metadata.PackageNotFoundError:
        return None
    if installed.version != UV:
        return None
    info, rows = f"uv-{UV}.dist-info", []
    wheel = folder / f"uv-{UV}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:

        def add(name: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # a program has to be one after unpacking too
            archive.writestr(entry, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(content)}\n")

        for file in installed.files:
            if file.name in ("uv", "uv.exe"):
                add(f"uv-{UV}.data/scripts/{file.name}", file.read_binary())
            elif file.parts[0] == "uv" and file.suffix == ".py":
                add(str(file.as_posix()), file.read_binary())
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {UV}\n".encode())
        add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "".join(rows))
    return wheel


@pytest.fixture(scope="session")
def uv_wheel(tmp_path_factory):
    return write_uv_wheel(tmp_path_factory.mktemp("uv"))


def write_course(folder: Path, uv_wheel: Path | None = None) -> Path:
    """The small course, and the wheels that it needs."""
    (folder / "labkit").mkdir(parents=True)
    shutil.copyfile(LAB, folder / "lab.py")
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "labkit" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "labkit" / "__main__.py").write_text(LABKIT, encoding="utf-8")
    (folder / "labkit" / "world").mkdir()
    (folder / "labkit" / "world" / "__init__.py").touch()
    (folder / "labkit" / "world" / "weights.py").write_text(WEIGHTS, encoding="utf-8")
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, version in (("torch", "2.13.0+cpu"), ("torch", "2.13.0"), ("extra_for_tests", "1")):
        write_wheel(wheels, name, version)
    if uv_wheel:
        for wheel in (uv_wheel, *Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")):
            shutil.copyfile(wheel, wheels / wheel.name)
        for name in set(FRONT_DOOR["FIRST"]) - {"pip"}:
            write_wheel(wheels, name, "1")
    return folder


def link(source: str | Path, target: str | Path) -> None:
    """A second name costs nothing. pip and uv replace files and do not write into them."""
    os.link(source, target)


def take_over(course: Path, made: Path) -> None:
    """A copy of another small course's .venv, at home in this one."""
    shutil.copytree(made / ".venv", course / ".venv", symlinks=True, copy_function=link)
    notes = [course / ".venv" / "home-of-this-venv.txt", *course.glob(".venv/[lL]ib/**/open_models_lab.pth")]
    for note in notes:
        note.unlink()
        note.write_text(str(course), encoding="utf-8")


@pytest.fixture(scope="session")
def empty_venv(tmp_path_factory):
    """A .venv as lab.py makes it, nothing installed."""
    made = write_course(tmp_path_factory.mktemp("empty") / "made")
    subprocess.run([sys.executable, "-m", "venv", made / ".venv"], check=True)
    (made / ".venv" / "home-of-this-venv.txt").touch()
    return made


@pytest.fixture(scope="session")
def full_venv(tmp_path_factory, empty_venv, uv_wheel):
    """A .venv with all that the small course needs, installed with uv."""
    made = write_course(tmp_path_factory.mktemp("full") / "made", uv_wheel)
    take_over(made, empty_venv)
    assert offline(made).returncode == 0
    return made


@pytest.fixture(params=["uv", "pip"])
def course(tmp_path, empty_venv, uv_wheel, request):
    """The small course in a folder with a space and an umlaut, its .venv made; to be installed with each in turn."""
    if request.param == "uv" and not uv_wheel:
        pytest.skip("needs an installed uv: lab.py brings it")
    folder = write_course(tmp_path / "a cöurse", uv_wheel if request.param == "uv" else None)
    take_over(folder, empty_venv)
    return folder


@pytest.fixture
def ready(tmp_path, full_venv, uv_wheel):
    """The small course in such a folder, all installed."""
    folder = write_course(tmp_path / "a cöurse", uv_wheel)
    take_over(folder, full_venv)
    return folder


@pytest.fixture
def bare(tmp_path, uv_wheel):
    """The small course in such a folder, nothing made yet."""
    return write_course(tmp_path / "a cöurse", uv_wheel)


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
        timeout=240,
    )


def offline(course: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
    return lab(course, "--offline", str(course / "wheels"), *arguments, **changes)


def pythons(course: Path) -> list[Path]:
    return sorted((course / ".venv" / ("Scripts" if os.name == "nt" else "bin")).glob("python*"))


def installed(course: Path) -> str:
    return subprocess.run([pythons(course)[0], "-m", "pip", "freeze", "--all"], capture_output=True, text=True).stdout


def test_a_first_run_installs_and_hands_over_and_a_second_reuses(bare, uv_wheel):
    first = offline(bare)
    assert first.returncode == 0, first.stderr + first.stdout
    assert re.findall(r"\[(\d)/3\]", first.stdout) == ["1", "2", "3"]
    assert "labkit got ['lab'] 1" in first.stdout
    assert ("pip installs" in first.stdout) is not bool(uv_wheel)
    assert (bare / "model-begun").exists() is bool(uv_wheel)
    assert {file.name for file in pythons(bare)[0].parent.glob("pip*")} >= {"pip", "pip3"} or os.name == "nt"
    second = offline(bare, "doctor", "--json")
    assert second.stdout == "labkit got ['doctor', '--json'] 1\n"


def test_exit_codes_and_options_pass_through(ready):
    run = offline(ready, "lab", "--no-browser", "--port", "8123", "seven")
    assert "labkit got ['lab', '--no-browser', '--port', '8123', 'seven']" in run.stdout
    assert run.returncode == 7
    assert "labkit got ['lab', '--no-browser']" in offline(ready, "--no-browser").stdout


def test_only_test_installs_what_tests_need(ready):
    assert "extra-for-tests" not in installed(ready).replace("_", "-")
    assert "[3/3]" in offline(ready, "test").stdout
    assert "extra-for-tests" in installed(ready).replace("_", "-")
    assert "[3/3]" not in offline(ready).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has to avoid CUDA builds")
def test_without_an_nvidia_gpu_linux_gets_the_cpu_build(course):
    run = offline(course)
    assert "torch==2.13.0+cpu" in installed(course)
    assert "pip tries" not in run.stdout
    assert ("pip installs" in run.stdout) is not any(course.glob("wheels/uv-*"))  # each way is what it says it is


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


def test_changed_requirements_are_installed(ready):
    changed = PYPROJECT.replace("dependencies = []", 'dependencies = ["extra-for-tests"]', 1)
    (ready / "pyproject.toml").write_text(changed, encoding="utf-8")
    assert "[3/3]" in offline(ready).stdout


def test_a_moved_course_is_repaired(ready):
    moved = ready.with_name("moved")
    ready.rename(moved)
    run = offline(moved)
    assert "Making .venv anew" in run.stdout and "labkit got ['lab']" in run.stdout, run.stderr


@pytest.mark.parametrize("damage", ["no python", "half made", "empty"])
def test_a_damaged_environment_is_repaired(ready, damage):
    if damage == "no python":
        for python in pythons(ready):
            python.unlink()
    elif damage == "half made":
        shutil.rmtree(next(ready.glob(".venv/[lL]ib*")))
    else:
        shutil.rmtree(ready / ".venv")
        (ready / ".venv").mkdir()
    run = offline(ready)
    assert "Making .venv anew" in run.stdout and run.returncode == 0, run.stderr


def test_somebody_elses_environment_that_works_is_used_as_it_is(course):
    (course / ".venv" / "home-of-this-venv.txt").unlink()
    kept = course / ".venv" / "mine.txt"
    kept.write_text("mine", encoding="utf-8")
    run = offline(course)
    assert "Using the .venv that is here already" in run.stdout and run.returncode == 0, run.stderr
    assert kept.exists()
    assert "Using the .venv" not in offline(course).stdout


def test_somebody_elses_environment_that_does_not_work_is_moved_aside(bare):
    (bare / ".venv").mkdir()
    (bare / ".venv" / "mine.txt").write_text("mine", encoding="utf-8")
    run = offline(bare)
    assert "is now .venv-old-" in run.stdout and run.returncode == 0, run.stderr
    assert [file.read_text(encoding="utf-8") for file in bare.glob(".venv-old-*/mine.txt")] == ["mine"]


def test_the_activated_environment_can_be_made_anew(ready):
    moved = ready.with_name("moved")
    ready.rename(moved)
    run = lab(moved, "--offline", str(moved / "wheels"), python=str(pythons(moved)[0]))
    assert "Making .venv anew" in run.stdout and "labkit got ['lab']" in run.stdout, run.stderr


def test_a_torch_that_is_too_old_is_replaced(course):
    write_wheel(course / "wheels", "torch", "2.3.0")
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
    wait_until((course / "building").exists, 60)
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


def wait_until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reached()


def living(course: Path) -> list[str]:
    """The command lines of processes that were begun in this course, lab.py's own included."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() in (str(course), str(course.parent)):
                found.append(" ".join(process.cmdline()))
    return found


@POSIX
@pytest.mark.parametrize(
    ("when", "how"),
    [
        *[("installing", "SIGTERM"), ("installing", "SIGINT"), ("model", "SIGTERM"), ("model", "SIGHUP")],
        *[("handed over", name) for name in ("SIGTERM", "SIGHUP", "SIGINT")],
    ],
)
def test_whoever_ends_lab_py_alone_ends_what_it_began(ready, uv_wheel, when, how):
    if when != "handed over":
        if not uv_wheel:
            pytest.skip("needs an installed uv: lab.py brings it")
        (ready / ("slow" if when == "installing" else "slow-model")).touch()
        shutil.rmtree(ready / ".venv")
    command = [sys.executable, str(ready / "lab.py"), "--offline", str(ready / "wheels"), "lab", "waits"]
    process = subprocess.Popen(command, env=environment(), cwd=ready.parent, stdout=subprocess.PIPE, text=True)
    if when == "handed over":
        assert "labkit got" in process.stdout.readline()
    else:
        sign = ready / ("building" if when == "installing" else "model-begun")
        wait_until(sign.exists, 60)
    assert living(ready)
    process.send_signal(signal.Signals[how])
    process.communicate(timeout=20)
    assert process.returncode == (-signal.Signals[how] if when == "handed over" else 130)
    wait_until(lambda: not living(ready), 5)


def one_sentence(run: subprocess.CompletedProcess) -> str:
    assert run.returncode == 1
    assert run.stderr.startswith("lab.py: ") and run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    return run.stderr


def test_no_package_index_is_one_sentence(course):
    run = lab(course, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert "connect to the internet, or use `--offline FOLDER`" in one_sentence(run)
    assert "No CPU build" not in run.stdout


def test_an_empty_offline_folder_is_one_sentence(bare, tmp_path):
    assert "There are no wheels in" in one_sentence(lab(bare, "--offline", str(tmp_path / "nothing")))
    assert not (bare / ".venv").exists()


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
def test_a_machine_that_will_not_do_is_one_sentence(bare, change, sentence):
    program = (
        f"import os, platform, runpy, shutil, sys; {change}; sys.argv = ['lab.py']; "
        f"runpy.run_path({str(bare / 'lab.py')!r}, run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert sentence in one_sentence(run)
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize(
    ("variable", "word"),
    [("COLAB_RELEASE_TAG", "Colab"), ("BINDER_SERVICE_HOST", "Binder"), ("JUPYTERHUB_USER", "JupyterHub")],
)
def test_hosted_environments_are_left_alone(bare, variable, word):
    run = lab(bare, **{variable: "x"})
    assert run.returncode == 0 and f"This is {'a ' if word == 'JupyterHub' else ''}{word}" in run.stdout
    assert not (bare / ".venv").exists()


def test_help_needs_nothing(bare):
    run = lab(bare, "--help")
    assert run.returncode == 0 and "python lab.py test" in run.stdout
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_an_old_python_gets_a_sentence(bare, version):
    found = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    run = subprocess.run([str(found[0]), str(bare / "lab.py")], capture_output=True, env=environment(), timeout=60)
    assert run.returncode == 1
    assert run.stderr.decode().startswith(f"lab.py: This is Python {version} and the course needs 3.11 to 3.14")


# pip's settings, in uv's words


@pytest.mark.parametrize(
    ("settings", "options", "variables"),
    [
        ({"index-url": "https://u:p@a/simple"}, [], {"UV_DEFAULT_INDEX": "https://u:p@a/simple"}),
        ({"extra-index-url": "\nhttps://a\nfile:///b"}, [], {"UV_INDEX": "https://a file:///b"}),
        ({"find-links": "https://a/w file:///b"}, ["--find-links", "https://a/w", "--find-links", "file:///b"], {}),
        ({"find-links": "/not/there"}, [], {}),
        ({"cache-dir": "/big"}, [], {"UV_CACHE_DIR": "y"}),
        ({"no-index": "true", "index-url": "https://a"}, ["--no-index"], {"UV_DEFAULT_INDEX": None}),
        ({"no-index": "0", "prefer-binary": "no", "index-url": ""}, [], {"UV_DEFAULT_INDEX": None}),
        ({"constraint": "a.txt b.txt"}, ["--constraint", "a.txt", "--constraint", "b.txt"], {}),
        ({"proxy": "user:x@host:3128"}, [], {"HTTPS_PROXY": "http://user:x@host:3128"}),
        ({"cert": os.devnull}, [], {"SSL_CERT_FILE": os.devnull}),
        ({"client-cert": "/c.pem"}, [], {"SSL_CLIENT_CERT": "/c.pem"}),
        ({"trusted-host": "a b:80"}, ["--allow-insecure-host", "a", "--allow-insecure-host", "b:80"], {}),
        ({"timeout": "60", "retries": "0"}, [], {"UV_HTTP_TIMEOUT": "60", "UV_HTTP_RETRIES": "0"}),
        ({"pre": "1", "no-cache-dir": "yes"}, ["--no-cache", "--prerelease=allow"], {}),
        ({"quiet": "2", "progress-bar": "off", "require-virtualenv": "1"}, [], {}),
        ({"keyring-provider": "subprocess"}, [], {"UV_KEYRING_PROVIDER": "subprocess"}),
    ],
)
def test_what_pip_was_told_is_told_to_uv(settings, options, variables):
    front_door = runpy.run_path(str(LAB))
    always, _ = front_door["for_uv"]({}, {})
    told, environment = front_door["for_uv"](settings, {"UV_INDEX_URL": "x", "UV_OFFLINE": "1", "UV_CACHE_DIR": "y"})
    assert told == always + options
    assert {name: environment.get(name) for name in variables} == variables
    assert "UV_INDEX_URL" not in environment and "UV_OFFLINE" not in environment
    assert environment["UV_CACHE_DIR"] == "y"


def test_a_cache_folder_of_pips_has_uvs_beside():
    _, variables = runpy.run_path(str(LAB))["for_uv"]({"cache-dir": "/big"}, {})
    assert variables["UV_CACHE_DIR"] == str(Path("/big") / "uv")


@pytest.mark.parametrize("key", ["find-links", "constraint"])
def test_a_password_is_not_put_into_the_list_of_processes(key):
    front_door = runpy.run_path(str(LAB))
    with pytest.raises(front_door["WithoutUv"], match=f"`{key}` holds a password"):
        front_door["for_uv"]({key: "https://ada:geheim@a/w"}, {})


def test_a_password_is_not_kept_in_the_log(ready, index):
    host = index.address.removeprefix("http://")
    (ready / "pip.conf").write_text(f"[global]\nfind-links = http://ada:geheim@{host}/w\n", encoding="utf-8")
    lab(ready, "test", PIP_INDEX_URL=f"http://ada:geheim@{host}/simple1", PIP_CONFIG_FILE=str(ready / "pip.conf"))
    assert "geheim" not in (ready / ".lab.log").read_text(encoding="utf-8")


def test_a_bundle_of_certificates_that_pip_finds_by_a_variable_is_found_by_uv(tmp_path):
    for_uv = runpy.run_path(str(LAB))["for_uv"]
    assert for_uv({}, {"REQUESTS_CA_BUNDLE": "/b.pem"})[1]["SSL_CERT_FILE"] == "/b.pem"
    assert for_uv({"cert": str(tmp_path)}, {"REQUESTS_CA_BUNDLE": "/b.pem"})[1]["SSL_CERT_DIR"] == str(tmp_path)


def test_pips_files_and_variables_are_read_as_pip_reads_them(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nquiet = 2\nindex-url = https://from-global\ntimeout = 7\nextra-index-url =\n    https://a\n"
        "    https://b'c\n[install]\nindex-url = https://from-install\n[download]\nproxy = nothing\n",
        encoding="utf-8",
    )
    settings = runpy.run_path(str(LAB))["pip_settings"](
        [sys.executable, "-m", "pip"], environment(PIP_CONFIG_FILE=str(file), PIP_TIMEOUT="9")
    )
    assert settings["index-url"] == "https://from-install" and settings["timeout"] == "9"
    assert settings["extra-index-url"].split() == ["https://a", "https://b'c"]
    assert "proxy" not in settings


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("  cause: failed to write to file `/v/a.so`: No space left on device (os error 28)", "The disk is full"),
        ("  cause: failed to create directory `/v/numpy`: Read-only file system (os error 30)", "may not be written"),
        ("  cause: failed to create directory `/v/numpy`: Permission denied (os error 13)", "may not be written"),
    ],
)
def test_pip_does_not_try_again_what_the_disk_forbids(words, sentence):
    front_door = runpy.run_path(str(LAB))
    reason = front_door["why"](words, "installing", False)
    assert isinstance(reason, front_door["Blocked"]) and sentence in str(reason)


def test_a_setting_without_a_counterpart_is_left_to_pip(course):
    run = offline(course, PIP_PREFER_BINARY="1")
    assert "pip's setting `prefer-binary` has no counterpart in uv: pip installs" in run.stdout
    assert run.returncode == 0 and not [*course.glob(".venv/bin/uv"), *course.glob(".venv/Scripts/uv.exe")]


def test_uv_is_forbidden_by_a_constraint(course, tmp_path):
    (tmp_path / "no-uv.txt").write_text("uv<0\n", encoding="utf-8")
    run = offline(course, PIP_CONSTRAINT=(tmp_path / "no-uv.txt").as_uri())
    assert f"uv {UV} cannot be had here" in run.stdout and run.returncode == 0, run.stdout + run.stderr


@pytest.fixture
def index(tmp_path):
    """A package index on this machine that is a proxy as well, and a list of who asked it for what."""
    asked: list[tuple[str, str]] = []
    root = tmp_path / "index"

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.command == "GET":
                asked.append((self.headers.get("User-Agent", "").split("/")[0], self.path))
            path = root / urllib.parse.unquote(urllib.parse.urlparse(self.path).path).strip("/")
            if path.is_dir():
                body = "".join(f'<a href="{file.name}">{file.name}</a>' for file in path.iterdir()).encode()
            elif path.is_file():
                body = path.read_bytes()
            else:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if path.is_dir() else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for version in ("1", "2"):
        folder = root / f"simple{version}" / "extra-for-tests"
        folder.mkdir(parents=True)
        write_wheel(folder, "extra_for_tests", version)
    yield types.SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", asked=asked)
    server.shutdown()
    server.server_close()


def test_the_best_version_of_all_indexes_is_taken(ready, index, uv_wheel):
    indexes = {"PIP_INDEX_URL": f"{index.address}/simple1", "PIP_EXTRA_INDEX_URL": f"{index.address}/simple2"}
    run = lab(ready, "test", **indexes, UV_OFFLINE="1", UV_INDEX_URL="http://127.0.0.1:9", UV_PYTHON="3.6")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "extra-for-tests==2" in installed(ready).replace("_", "-")
    assert {agent for agent, path in index.asked if path.endswith(".whl")} == {"uv" if uv_wheel else "pip"}
    log = (ready / ".lab.log").read_text(encoding="utf-8")
    assert "pip install" in log and len(log) < 100_000


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "PIP_PROXY"])
def test_packages_come_through_the_proxy(ready, index, uv_wheel, variable):
    proxy = {variable: index.address, "NO_PROXY": "", "no_proxy": ""}
    run = lab(
        ready, "test", PIP_INDEX_URL="http://packages.invalid/simple1", PIP_TRUSTED_HOST="packages.invalid", **proxy
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert ("uv" if uv_wheel else "pip", "http://packages.invalid/simple1/extra-for-tests/") in index.asked


def test_where_uv_cannot_reach_the_index_pip_has_the_last_word(ready, uv_wheel):
    run = lab(ready, "test", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert "connect to the internet, or use `--offline FOLDER`" in one_sentence(run)
    assert ("uv could not (" in run.stdout) is bool(uv_wheel)


def test_a_setting_that_uv_takes_amiss_is_left_to_pip(ready, index, uv_wheel):
    run = lab(ready, "test", PIP_INDEX_URL=f"{index.address}/simple1", PIP_TIMEOUT="15.5")
    assert ("uv does not start here (Failed to parse" in run.stdout) is bool(uv_wheel)
    assert run.returncode == 0 and "extra-for-tests==1" in installed(ready).replace("_", "-")


@POSIX
def test_a_file_system_without_locks_makes_nobody_wait(monkeypatch, tmp_path):
    """Simulated: NFS without its lock service answers flock with ENOLCK."""
    import errno
    import fcntl

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lock = runpy.run_path(str(LAB))["Lock"]
    monkeypatch.setitem(lock._take.__globals__, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(fcntl, "flock", flock)
    with lock():
        pass


def test_the_version_is_told_without_a_set_up():
    run = subprocess.run([sys.executable, str(LAB), "--version"], capture_output=True, text=True, timeout=30)
    assert re.fullmatch(r"open-models-lab [0-9.]+\n", run.stdout), run.stderr
