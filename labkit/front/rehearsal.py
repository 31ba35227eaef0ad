"""`labkit doctor --class`: what a class will do on this machine, tried for real before the class comes.

Looking is not enough for a room: a proxy, a virus scanner or a full memory shows only when something is started. So a
kernel is started, the course's own Hub is asked, the model writes an answer, and each try is one finding. Knows nothing
of what the findings are used for (`doctor` prints them). What no program can see is in `FOR_A_PERSON`.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.base import assets
from labkit.base.errors import LabError

SETUP_BYTES = 3_000_000_000  # packages, model and room to unpack them
SLOW_TOKENS_PER_S = 5.0  # below it, an answer of a hundred tokens takes twenty seconds
_SYNCED = re.compile(r"onedrive|dropbox|icloud|mobile documents|google ?drive|nextcloud", re.IGNORECASE)

FOR_A_PERSON = (
    "You have run the lesson yourself, on the slowest machine of the room, and noted the minutes.",
    "There is a second way for a machine that fails: a neighbour's screen, Colab, or the pages of `labkit site`.",
    "Laptops are plugged in, and do not fall asleep during a run of two minutes.",
    "The projector shows a notebook that can be read from the last row (JupyterLab: View, Appearance).",
    "There is paper for predictions.",
)


@dataclass(frozen=True)
class Check:
    """One finding. `status` is "ok", "note" (worth knowing) or "problem" (the course cannot run)."""

    name: str
    status: str
    message: str


def trials(*names: str) -> Iterator[Check]:
    """Each try of a class on this machine, one after the other (about twenty seconds), or only those with these names.

    None of them raises: one that fails for a reason that nobody has foreseen is a problem with that reason in words.
    """
    for name in names or _TRIALS:
        try:
            yield _TRIALS[name]()
        except Exception as reason:
            said = str(reason).strip().splitlines() or [type(reason).__name__]
            yield Check(name, "problem", f"{said[0][:200]}")


def _folder() -> Check:
    """The learners' copies can be written, in a folder that nothing else touches."""
    folder = assets.root()
    try:
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=folder):
            pass
    except OSError as problem:
        return Check(
            "Folder", "problem", f"{folder} cannot be written ({problem.strerror}): copy the course elsewhere."
        )
    if found := _SYNCED.search(str(folder)):
        return Check("Folder", "note", f"{folder} is synchronized ({found[0]}), which locks files: copy it elsewhere.")
    return Check("Folder", "ok", f"learners' copies can be written in {folder}")


def _room() -> Check:
    """Disk for a set-up that is still to come."""
    free = shutil.disk_usage(assets.root()).free
    there = (assets.root() / ".venv").is_dir()
    if free < SETUP_BYTES and not there:
        return Check("Room", "problem", f"{free / 1e9:.1f} GB of disk free and the set-up takes 3 GB: make room.")
    return Check("Room", "ok", f"{free / 1e9:.1f} GB of disk free" + (", and the packages are here already" * there))


def _power() -> Check:
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return Check("Power", "ok", "no battery that the system knows of")
    if not battery.power_plugged:
        return Check("Power", "note", f"on battery ({battery.percent:.0f} %): plug it in, a saving laptop is slow")
    return Check("Power", "ok", "plugged in")


def _browser() -> Check:
    import webbrowser

    try:
        name = webbrowser.get().name
    except webbrowser.Error:
        return Check("Browser", "note", "none that Python can open: learners type the address that `lab.py` prints")
    return Check("Browser", "ok", f"lessons open in {Path(str(name)).name}")


def _kernel() -> Check:
    """A Jupyter kernel starts, talks through the machine's own network, and computes."""
    if importlib.util.find_spec("ipykernel") is None:
        return Check("Kernel", "problem", "ipykernel is not installed: run `python lab.py setup`.")
    from jupyter_client.manager import start_new_kernel

    began, said = time.monotonic(), []
    manager, client = start_new_kernel(startup_timeout=60, stderr=subprocess.DEVNULL)
    try:
        client.execute_interactive("print(6 * 7)", timeout=60, output_hook=lambda message: said.append(message))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    answered = any(message["content"].get("text", "").strip() == "42" for message in said)
    if not answered:
        return Check("Kernel", "problem", "a kernel started and did not compute: restart the machine, then try again.")
    return Check("Kernel", "ok", f"started and computed in {time.monotonic() - began:.1f} s")


def _servers() -> Check:
    """The course's own Hub, which lessons 03 and 09 start, answers on this machine: no proxy or firewall is between."""
    from labkit.world import services
    from labkit.world.hub.service import local_hub

    began = time.monotonic()
    try:
        service = local_hub()
        services.leave(service.name)
    except LabError as problem:
        return Check("Servers", "problem", f"{problem} A virus scanner or firewall may block 127.0.0.1.")
    return Check("Servers", "ok", f"the course's own Hub answered in {time.monotonic() - began:.1f} s")


# As a lesson does it, in a process of its own: `start` sets what torch reads when it is imported.
_LESSON = """
import json, time
import labkit
lab = labkit.start("00")
began = time.monotonic()
model, _ = labkit.local.load()
loaded = time.monotonic() - began
labkit.local.measure(model, prompt_tokens=16, new_tokens=4)  # the first call is always the slowest
speed = labkit.local.measure(model, prompt_tokens=32, new_tokens=24).decode_tokens_per_s
print(json.dumps({"loaded_s": loaded, "tokens_per_s": speed}))
"""


def _answer() -> Check:
    """The model is loaded and writes; its speed tells how long lessons take here."""
    from labkit.world import weights

    if weights.status() != "ready":
        return Check("Answer", "note", "the model is not here yet: run `python lab.py setup` first, then this again.")
    run = subprocess.run([sys.executable, "-c", _LESSON], capture_output=True, text=True, timeout=300)
    if run.returncode:
        return Check("Answer", "problem", f"the model does not answer ({run.stderr.strip().splitlines()[-1][:200]})")
    found = json.loads(run.stdout.splitlines()[-1])
    text = f"the model is loaded in {found['loaded_s']:.1f} s and writes {found['tokens_per_s']:.0f} tokens/s"
    if found["tokens_per_s"] < SLOW_TOKENS_PER_S:
        return Check("Answer", "note", f"{text}: slow; close other programs, and try lessons 05 to 09 here beforehand.")
    return Check("Answer", "ok", text)


_TRIALS: dict[str, Callable[[], Check]] = {
    "Folder": _folder,
    "Room": _room,
    "Power": _power,
    "Browser": _browser,
    "Kernel": _kernel,
    "Servers": _servers,
    "Answer": _answer,
}


def line(found: list[Check]) -> str:
    """One line for the teacher's list: the machine's name, how many problems and notes, and the measured speed."""
    problems, notes = (sum(check.status == status for check in found) for status in ("problem", "note"))
    said = next((check.message for check in found if check.name == "Answer"), "")
    speed = found_speed[0] if (found_speed := re.search(r"\d+ tokens/s", said)) else "no answer"
    counts = f"{problems} problem{'s' * (problems != 1)}, {notes} note{'s' * (notes != 1)}"
    return f"{platform.node() or 'this machine'}: {counts}, {speed}"
