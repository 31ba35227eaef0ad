"""The model server of the local world: llama.cpp, speaking the OpenAI protocol, one process a user.

`model_server()` joins it from a lesson. `python -m labkit.world.model_server.service --gguf FILE` is its process. Knows
the settings of llama.cpp (through `xllamacpp`). Knows nothing of leases (`services`) or of where models are
(`weights`).

What a client meets: /v1/chat/completions and /v1/completions (streaming, logprobs), /v1/models, /tokenize, and /health,
the only one without a key. /v1/embeddings wants a process of its own, `model_server(embeddings=True)`.
A wrong key is 401. A prompt longer than the context is 400 of type `exceed_context_size_error`, with `n_prompt_tokens`
and `n_ctx`. Requests wait for a free slot. When the process is killed, requests in flight end with a connection error,
and the next `model_server()` starts another.
Facts about llama.cpp: tried with xllamacpp 2026.10.11549 on 2026-11-23.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.world import services
from labkit.world.services import host

# The course model gets its own context of 8,192 tokens: 189 MB of keys and values, and 350 MB for the whole server.
# A file of the learner's own gets less, because its keys and values may be larger: 2.1 GB for LLaMA-2-7B.
OTHER_CONTEXT = 4096

# A text is embedded in one piece, and the memory for that grows with its square: 0.4 GB for the server with 512 tokens,
# 1.0 GB with 2,048 (measured 2026-11-23).
EMBEDDING_CONTEXT = 512


def model_server(
    name: str | Path | None = None,
    *,
    context: int | None = None,
    slots: int | None = None,
    embeddings: bool = False,
    port: int = 0,
    linger: float = services.LINGER_S,
) -> services.Service:
    """The running model server, started if needed: `.url` and `.key` are what a client wants.

    `name` is a catalogue name or the path of a .gguf file; without it the course model. `context` is in tokens, for one
    request; `slots` (1) is how many requests are served at once. With `embeddings` it answers /v1/embeddings instead:
    one vector a text, the mean of its tokens' last hidden states scaled to length 1; a text has up to 512 tokens by
    default. Other values are a process of their own; equal ones share it, whichever kernel asks. The server that is
    started here waits `linger` seconds for a next user.
    Raises LabError when there is no such model or file, when it cannot be loaded, or `port` is taken.
    """
    for what, value in (("context", context), ("slots", slots)):
        if value is not None and value < 1:
            raise LabError(f"The model server cannot have {what}={value}: choose 1 or more.")
    options = {"context": context, "slots": slots, "embeddings": embeddings or None}
    return services.join(MODEL_SERVER, port=port, linger=linger, **_identity(name), **options)


def _identity(name: str | Path | None) -> dict[str, Any]:
    """What tells one model from another: nothing for the course model, a name, or a file as it is now."""
    if name is not None and Path(name).suffix.lower() == ".gguf":
        file = Path(name).expanduser().resolve()
        _require_gguf(file)
        # A file that is written anew is another model, and must not be answered for by the server of the old one.
        return {"file": str(file), "changed": file.stat().st_mtime_ns}
    from labkit.facts import catalogue

    entry = catalogue.get(str(name or catalogue.DEFAULT))
    return {} if entry.name == catalogue.DEFAULT else {"model": entry.name}


def _command(
    model: str | None = None,
    file: str | None = None,
    changed: int | None = None,
    context: int | None = None,
    slots: int | None = None,
    embeddings: bool = False,
) -> list[str]:
    """The command line that serves `model`, a catalogue name, or `file`, an absolute path (as of `changed`)."""
    if file is not None:
        gguf, title, own_context = Path(file), Path(file).stem, OTHER_CONTEXT
    else:
        from labkit.facts import catalogue
        from labkit.world import weights

        entry = catalogue.get(model or catalogue.DEFAULT)
        gguf, title, own_context = weights.gguf_file(entry.name), entry.title, entry.context
        if context is not None and context > own_context:
            raise LabError(f"{title} reads at most {own_context:,} tokens: choose a context up to that.")
    command = [sys.executable, "-m", "labkit.world.model_server.service", "--gguf", str(gguf), "--title", title]
    if embeddings:
        command, own_context = [*command, "--embeddings"], EMBEDDING_CONTEXT
    return [*command, "--context", str(context or own_context), "--slots", str(slots or 1)]


MODEL_SERVER = services.Kind("model", _command)


def _require_gguf(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
    except OSError as problem:
        raise LabError(f"{file} cannot be read ({problem.strerror}): give the path of a .gguf file.") from None
    if magic != b"GGUF":
        raise LabError(f"{file} is not a GGUF file: llama.cpp reads no other format.")


def main(argv: list[str]) -> int:
    """The process of the service."""
    parser = argparse.ArgumentParser(prog="python -m labkit.world.model_server.service")
    parser.add_argument("--gguf", type=Path, required=True, help="the model")
    parser.add_argument("--title", required=True, help="what /v1/models calls it")
    parser.add_argument("--context", type=int, default=OTHER_CONTEXT, help="tokens that one request may hold")
    parser.add_argument("--slots", type=int, default=1, help="requests served at once, each with such a context")
    parser.add_argument("--embeddings", action="store_true", help="turn texts into vectors instead of answers")
    parser.add_argument("--threads", type=int, help="default: the physical cores that this process may use")
    return host.main(argv, parser, _serve)


def _serve(options: argparse.Namespace, key: str) -> tuple[str, Any]:
    """The URL, and llama.cpp's server, which listens in threads of its own for as long as the object lives."""
    for name, value in machine.PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    import xllamacpp

    _require_memory(options.gguf)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(options.gguf)
    settings.model_alias = {options.title}
    if hasattr(settings, "hostnames"):
        settings.hostnames = ["127.0.0.1"]
    else:  # xllamacpp 2026.8
        settings.hostname = "127.0.0.1"
    settings.port = options.port
    settings.api_keys = [key]
    settings.cors_origins = ""  # no web page has business here
    settings.ui = False
    settings.n_parallel = options.slots
    settings.n_ctx = options.context * options.slots  # llama.cpp divides it among the slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = options.threads or _threads()
    settings.cache_ram_mib = 0  # else up to 8 GB of earlier prompts are kept; the last one of a slot is kept anyway
    settings.cache_idle_slots = False  # it would need that
    if options.embeddings:
        settings.embedding = True
        settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        settings.n_batch = settings.n_ubatch = options.context  # a text cannot be pooled in parts
    settings.verbosity = 2  # warnings and errors: no prompt in the log
    try:
        server = xllamacpp.Server(settings)
    except RuntimeError:
        raise LabError(
            f"llama.cpp could not load {options.gguf.name}: it may be damaged, of a kind that this version does not "
            f"know, or too large for the memory; its reasons are in {services.log_file(options.service)}."
        ) from None
    return server.listening_address, server


def _threads() -> int:
    """Two threads on one core slow each other down, so physical cores count, of those that we may use."""
    import psutil

    usable = machine.detect().cores
    return min(usable, psutil.cpu_count(logical=False) or usable)


def _require_memory(gguf: Path) -> None:
    needed, free = gguf.stat().st_size, machine.detect().available_bytes()
    if needed > free:
        raise LabError(
            f"{gguf.name} needs more than {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            "close other programs, or choose a smaller model; the course model needs 0.4 GB."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
