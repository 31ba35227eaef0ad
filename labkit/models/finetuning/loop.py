"""One training loop on accelerate, whole: `train`. What is around a loop and not the lesson is in `Run`.

The loop itself is short enough for one cell of a lesson; `Run` keeps the books: the order of the examples, the losses,
validation and early stop, the picture, checkpoints. The same settings give the same result, in one go or killed and
resumed. Knows nothing of what the examples say (`chat`) or of whether the model got better (`scoring`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.base import machine, workarounds
from labkit.base.errors import LabError
from labkit.models.finetuning import chat, checkpoints, live

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


@dataclass(frozen=True)
class Settings:
    """What a run depends on, apart from model and data. The defaults are those of lesson 07.

    `batch` examples are computed at once; an optimizer step takes `accumulation` batches. The learning rate rises over
    `warmup` steps and then falls to 0 in a straight line. With `check_every`, the validation loss is measured after so
    many steps, and `patience` checks in a row without a new best end the run (early stop), with the best weights.
    With `gradient_checkpointing` the backward pass computes each layer again and does not keep what the layers
    computed: the same result in less memory and about a third more time (Chen et al. 2016, arXiv:1604.06174).
    """

    learning_rate: float = 1.5e-3
    batch: int = 2
    accumulation: int = 1
    epochs: int = 1
    warmup: int = 3
    clip: float = 1.0
    seed: int = 0
    check_every: int = 0
    patience: int = 2
    save_every: int = 8
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "accumulation", "epochs", "patience", "save_every"):
            if getattr(self, name) < 1:
                raise LabError(f"The setting {name}={getattr(self, name)} makes no sense: it must be 1 or more.")
        if self.learning_rate <= 0 or self.warmup < 0 or self.check_every < 0 or self.clip <= 0:
            raise LabError("learning_rate and clip must be above 0, warmup and check_every 0 or more.")

    @property
    def per_step(self) -> int:
        """Examples that an optimizer step takes."""
        return self.batch * self.accumulation


@dataclass
class History:
    """What happened: the loss of each step, validation losses as `(step, loss)`, and what this process spent on it.

    `tokens` and `seconds` count since the last start: a run that was resumed has the whole curve but not the time.
    """

    losses: list[float] = field(default_factory=list)
    checks: list[tuple[int, float]] = field(default_factory=list)
    stopped_early: bool = False
    tokens: int = 0
    seconds: float = 0.0


def accelerator(accumulation: int = 1) -> Accelerator:
    """accelerate's object for this machine. Mixed precision where it is right: on a GPU, in its fast 16-bit type.

    On a CPU without 16-bit units, training in bf16 takes eight times as long (2 cores, 2026-11), so there it is fp32.
    `split_batches`: with several processes each computes a part of the batch, so that the batch stays what it is.
    """
    from accelerate import Accelerator, DataLoaderConfiguration

    workarounds.avoid_cudnn_attention()
    here = machine.detect()
    return Accelerator(
        cpu=here.device == "cpu",
        mixed_precision=here.dtype if here.device == "cuda" else "no",
        gradient_accumulation_steps=accumulation,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )


def train(
    model: Any,
    examples: Sequence[chat.Example],
    settings: Settings | None = None,
    *,
    pad: int = 0,
    validation: Sequence[chat.Example] = (),
    folder: Path | None = None,
    fresh: bool = False,
    quiet: bool = False,
    watch: Callable[[int], None] | None = None,
) -> History:
    """Train the parameters of `model` that ask for gradients on `examples` (of `chat.encode`), in place.

    `pad` is the tokenizer's padding token. With a `folder`, a checkpoint is written there every `save_every` steps, and
    a second call with the same settings and data goes on where the first was interrupted or killed. `watch` is called
    with the number of each step that is done.
    Raises LabError when there is nothing to train or too little data, or the folder holds another run.
    """
    import torch
    from accelerate.utils import set_seed

    settings = settings or Settings()
    set_seed(settings.seed)
    places = {"folder": folder, "fresh": fresh, "quiet": quiet, "watch": watch}
    run = Run(model, examples, settings, pad=pad, validation=validation, **places)
    engine = accelerator(settings.accumulation)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, run.learning_rate_factor)
    model, optimizer, schedule, loader = engine.prepare(model, optimizer, schedule, run.loader())
    model.train()
    for batch in run.batches(engine, model, loader):
        with engine.accumulate(model):
            loss = chat.answer_loss(model, batch)
            engine.backward(loss)
            if engine.sync_gradients:
                engine.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        run.record(loss)
    return run.history


class Run:
    """The books of a run: `batches` hands out what is still to do, and `record` takes the loss of each batch.

    The arguments are those of `train`.
    """

    def __init__(
        self,
        model: Any,
        examples: Sequence[chat.Example],
        settings: Settings,
        *,
        pad: int = 0,
        validation: Sequence[chat.Example] = (),
        folder: Path | None = None,
        fresh: bool = False,
        quiet: bool = False,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        self.examples, self.settings, self.history = list(examples), settings, History()
        self.order = order(len(examples), settings)
        self.steps = len(self.order) // settings.per_step
        self._pad, self._quiet, self._watch = pad, quiet, watch
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise LabError("Nothing in this model is trained: put an adapter on it first, as with peft.get_peft_model.")
        self._validation = list(validation)
        if settings.check_every and not self._validation:
            raise LabError("check_every asks for validation examples: give some, or set it to 0.")
        self._kept = checkpoints.Checkpoints(folder, self._identity(model), fresh=fresh) if folder else None
        self._parts: list[torch.Tensor] = []
        self._best: dict[str, Any] | None = None

    def loader(self) -> Any:
        """torch's DataLoader over the examples in the run's order, for `accelerator.prepare`."""
        import torch
        from torch.utils.data import DataLoader

        # With a generator of its own it draws nothing from torch's, whose state a resumed run has just put back.
        collate = functools.partial(chat.collate, pad=self._pad)
        own = {"sampler": self.order, "collate_fn": collate, "generator": torch.Generator()}
        return DataLoader(self.examples, self.settings.batch, **own)

    def learning_rate_factor(self, step: int) -> float:
        """What the learning rate is multiplied by at a step (from 0): up to 1, then down to 0."""
        rising = min(1.0, (step + 1) / (self.settings.warmup + 1))
        return rising * max(0.0, 1 - step / self.steps)

    def batches(self, engine: Accelerator, model: Any, loader: Any) -> Iterator[dict[str, torch.Tensor]]:
        """The batches that are not done yet, from the newest checkpoint on.

        The loop has recorded a batch's loss when it comes for the next batch: then a step that is complete is checked,
        saved and shown. LabError when the loss was not recorded, or is no number any more.
        """
        plain = engine.unwrap_model(model)
        self._resume(engine, plain)
        left = self.done < self.steps and not self.history.stopped_early
        view = live.Live(self.steps, done=self.done, quiet=self._quiet or not engine.is_main_process)
        began = time.perf_counter()
        try:
            with _recomputing(plain) if self.settings.gradient_checkpointing else contextlib.nullcontext():
                for batch in engine.skip_first_batches(loader, self.done * self.settings.accumulation) if left else ():
                    self.history.tokens += int(batch["attention_mask"].sum())
                    yield batch
                    if engine.sync_gradients:
                        self._finish_step(engine, plain)
                        view.update(self.history.losses, self.history.checks)
                        if self._watch:
                            self._watch(self.done)
                    if self.history.stopped_early:
                        break
        finally:
            self.history.seconds = time.perf_counter() - began
            view.close()
            machine.release_memory()
        if self._best is not None:
            checkpoints.restore(plain, self._best)

    @property
    def done(self) -> int:
        """Optimizer steps that are behind us, those before an interruption too."""
        return len(self.history.losses)

    def record(self, loss: torch.Tensor) -> None:
        """Take the loss of a batch."""
        self._parts.append(loss.detach())

    def _finish_step(self, engine: Accelerator, model: Any) -> None:
        if not self._parts:
            raise LabError("The loss of this step was not recorded: call run.record(loss) for each batch.")
        mean, self._parts = sum(self._parts) / len(self._parts), []
        self.history.losses.append(engine.reduce(mean, "mean").item())
        if not math.isfinite(self.history.losses[-1]):
            raise LabError("The loss is no number any more: begin again with a smaller learning rate.")
        if self.settings.check_every and self.done % self.settings.check_every == 0:
            self._check(model)
        last = self.done == self.steps or self.history.stopped_early
        if self._kept and (last or self.done % self.settings.save_every == 0):
            self._kept.save(engine, model, self.done, dataclasses.asdict(self.history), self._best)

    def _check(self, model: Any) -> None:
        loss = chat.mean_loss(model, self._validation, pad=self._pad, batch=self.settings.batch)
        if all(loss < earlier for _, earlier in self.history.checks):
            self._best = checkpoints.trained(model)
        self.history.checks.append((self.done, loss))
        self.history.stopped_early = no_longer_better(self.history.checks, self.settings.patience)

    def _resume(self, engine: Accelerator, model: Any) -> None:
        if self._kept is None:
            return
        if engine.num_processes > 1:
            raise LabError("Checkpoints here are those of one process: leave out folder= with several.")
        if found := self._kept.load(engine, model):
            state, self._best = found
            checks = [tuple(check) for check in state["checks"]]
            self.history = History(state["losses"], checks, state["stopped_early"])
            if not self._quiet:
                print(f"Going on after step {self.done} of {self.steps}, from {self._kept.newest()}.")

    def _identity(self, model: Any) -> dict[str, Any]:
        """What a checkpoint must agree with. What changes no result may change: memory was too small, for example."""
        free = ("save_every", "gradient_checkpointing")
        settings = {key: value for key, value in dataclasses.asdict(self.settings).items() if key not in free}
        data = hashlib.sha256(repr((self.examples, self._validation)).encode()).hexdigest()
        names = sorted((name, list(p.shape)) for name, p in model.named_parameters() if p.requires_grad)
        return {**settings, "data": data, "trained": hashlib.sha256(repr(names).encode()).hexdigest()}


@contextlib.contextmanager
def _recomputing(model: Any) -> Iterator[None]:
    """Gradient checkpointing while the block lasts: transformers' own, of the kind that works with frozen inputs."""
    old, new = "gradient_checkpointing", "activation_checkpointing"  # transformers 5.15, and 5.24
    name = new if hasattr(model, f"{new}_enable") else old
    getattr(model, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(model, f"{name}_disable")()


def no_longer_better(checks: Sequence[tuple[int, float]], patience: int) -> bool:
    """Whether the last `patience` checks `(step, loss)` brought no new best: the time for an early stop.

    >>> no_longer_better([(4, 0.9), (8, 0.8), (12, 0.85), (16, 0.8)], patience=2)
    True
    """
    losses = [loss for _, loss in checks]
    before, since = losses[:-patience], losses[-patience:]
    return bool(before) and min(since) >= min(before)


def order(count: int, settings: Settings) -> list[int]:
    """Which example comes when: each epoch shuffled anew from the seed, and cut to whole steps."""
    draw, found = random.Random(settings.seed), []
    for _ in range(settings.epochs):
        found += draw.sample(range(count), count)
    step = settings.per_step
    if len(found) < step:
        raise LabError(f"{len(found)} examples are less than one step of {step}: give more, or make the batch smaller.")
    return found[: len(found) // step * step]
