"""Several processes on one CPU: the same loss curve as one, and a model whose parameters are shared out.

`torchrun` starts the processes, gloo carries numbers between them, accelerate wraps the model, and `fully_shard` (FSDP)
deals out the parameters; here are a small random Llama to try it on and two calls that start it. Not by `accelerate
launch --cpu --num_processes 2`, which starts only one process (accelerate 1.15). docs/scaling.md says what several GPUs
and machines need.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from labkit.base.errors import LabError
from labkit.base.processes import child_environment

_VOCABULARY = 64


def losses(processes: int, *, batch: int = 8, steps: int = 6) -> list[float]:
    """The loss of each step of a small run by that many processes, which share each batch of `batch` examples.

    LabError when the batch cannot be shared equally, or the processes fail.
    """
    if batch % processes:
        raise LabError(f"A batch of {batch} cannot be shared equally by {processes} processes.")
    return _torchrun(processes, "losses", str(batch), str(steps))[0]["losses"]


def shards(processes: int) -> list[dict[str, int]]:
    """How many parameters each process holds after `fully_shard`, and how many the whole model has; one dict per rank.

    Each has taken one training step together with the others before it counts.
    """
    return _torchrun(processes, "shards")


def small_model() -> Any:
    """A Llama with 2 layers and random weights, the same in each process."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": _VOCABULARY}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))


def _torchrun(processes: int, job: str, *arguments: str) -> list[dict[str, Any]]:
    """What each rank wrote, in the order of the ranks."""
    if processes < 1:
        raise LabError(f"There cannot be {processes} processes: choose 1 or more.")
    with tempfile.TemporaryDirectory() as folder:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [*launch, "-m", __name__, job, folder, *arguments]
        environment = child_environment(OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true")
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if "Error" in line] or ["no message"]
            raise LabError(f"The {processes} processes failed: {last[-1].strip()}")
        files = [Path(folder, f"{rank}.json") for rank in range(processes)]
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _job_losses(batch: int, steps: int) -> dict[str, Any]:
    """Runs in each process: the lesson's loop on a model with an adapter. Neither knows of several processes."""
    from labkit.models.finetuning import adapters, loop

    draw, examples = random.Random(0), []
    for _ in range(batch * steps):
        prompt = [draw.randrange(3, _VOCABULARY) for _ in range(draw.randrange(4, 9))]
        answer = [*prompt[: draw.randrange(2, 4)], 2]
        examples.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    model = adapters.with_adapter(small_model(), rank=4, alpha=8)
    settings = loop.Settings(learning_rate=0.01, batch=batch)
    return {"losses": loop.train(model, examples, settings, pad=2, quiet=True).losses}


def _job_shards() -> dict[str, Any]:
    """Runs in each process: the layers are sharded one by one, then what is left of the model."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group("gloo")
    model = small_model()
    whole = sum(parameter.numel() for parameter in model.parameters())
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids = torch.arange(3, 35).reshape(2, 16)
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    held = sum(parameter.to_local().numel() for parameter in model.parameters())
    rank = torch.distributed.get_rank()
    torch.distributed.destroy_process_group()
    return {"rank": rank, "parameters": held, "of": whole}


def main() -> int:
    """One of the processes that `_torchrun` starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=["losses", "shards"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("numbers", type=int, nargs="*")
    options = parser.parse_args()
    found = _job_losses(*options.numbers) if options.job == "losses" else _job_shards()
    (options.folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
