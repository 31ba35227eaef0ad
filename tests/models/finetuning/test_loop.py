"""The training loop: it learns, is what a bare loop is, stops early, and loses nothing when it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from labkit.base import assets, cache
from labkit.base.errors import LabError
from labkit.models import finetuning
from labkit.models.finetuning import checkpoints, live, loop

CHILD = Path(__file__).with_name("run_child.py")
QUICK = finetuning.Settings(learning_rate=0.01, epochs=2, batch=2)


def bare_loop(model, examples, settings):
    """The same without accelerate, line for line what a person writes in torch."""
    torch.manual_seed(settings.seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    order, losses = loop.order(len(examples), settings), []
    size = settings.batch * settings.accumulation
    steps = len(order) // size
    model.train()
    for step in range(steps):
        rate = min(1.0, (step + 1) / (settings.warmup + 1)) * (1 - step / steps)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * rate
        batch = [examples[place] for place in order[step * size : (step + 1) * size]]
        loss = finetuning.answer_loss(model, finetuning.collate(batch, pad=2))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("accumulation", [1, 4])
def test_it_is_a_bare_loop_whether_the_batch_comes_at_once_or_in_parts(accumulation):
    settings = finetuning.Settings(learning_rate=0.01, epochs=2, batch=8 // accumulation, accumulation=accumulation)
    ours, theirs = tiny.adapted(), tiny.adapted()
    history = finetuning.train(ours, tiny.examples(), settings, quiet=True, pad=2)
    assert history.losses == pytest.approx(bare_loop(theirs, tiny.examples(), settings), rel=1e-4)
    assert len(history.losses) == 8 and history.losses[-1] < history.losses[0]
    assert history.tokens == 2 * sum(len(one["input_ids"]) for one in tiny.examples())
    for name, weight in checkpoints.trained(theirs).items():
        torch.testing.assert_close(checkpoints.trained(ours)[name], weight, rtol=1e-3, atol=1e-5)


def test_gradient_checkpointing_keeps_less_and_learns_the_same():
    def measured(on: bool):
        kept, settings = [], finetuning.Settings(learning_rate=0.01, batch=4, gradient_checkpointing=on)
        model = tiny.adapted(lora_dropout=0.1)
        with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value.nbytes) or value, lambda v: v):
            history = finetuning.train(model, tiny.examples(), settings, quiet=True, pad=2)
        layers = [layer for layer in model.modules() if hasattr(layer, "gradient_checkpointing")]
        assert layers and not any(layer.gradient_checkpointing for layer in layers), "it lasts as long as the run"
        with torch.inference_mode():
            assert not model(torch.tensor([[5, 9]])).logits.requires_grad
        return history.losses, checkpoints.trained(model), sum(kept)

    (losses, weights, all_kept), (again, other, few_kept) = measured(False), measured(True)
    assert again == pytest.approx(losses, rel=1e-6) and few_kept < 0.5 * all_kept
    for name, weight in weights.items():
        torch.testing.assert_close(other[name], weight)


def test_a_seed_is_a_result():
    runs = [
        finetuning.train(tiny.adapted(), tiny.examples(), finetuning.Settings(seed=seed), quiet=True, pad=2).losses
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_each_epoch_has_every_example_once_in_its_own_order():
    found = loop.order(10, finetuning.Settings(epochs=2, batch=2))
    assert sorted(found[:10]) == sorted(found[10:]) == list(range(10)) and found[:10] != found[10:]
    assert len(loop.order(11, finetuning.Settings(batch=2, accumulation=2))) == 8


def test_early_stop_keeps_the_best_weights():
    """Validation answers that the training ones contradict: learning makes them worse."""
    contradiction = [
        {**one, "labels": [label if label < 0 else 63 - label for label in one["labels"]]} for one in tiny.examples(8)
    ]
    settings = finetuning.Settings(learning_rate=0.05, epochs=9, check_every=4, patience=2)
    model = tiny.adapted()
    history = finetuning.train(model, tiny.examples(), settings, validation=contradiction, quiet=True, pad=2)
    assert history.stopped_early and len(history.losses) < 9 * 16
    best = min(loss for _, loss in history.checks)
    assert [loss for _, loss in history.checks].index(best) == len(history.checks) - 3
    assert finetuning.mean_loss(model, contradiction, pad=2) == pytest.approx(best, rel=1e-5)


def child(*arguments: object) -> subprocess.Popen:
    path = os.pathsep.join([str(assets.PACKAGE.parent), str(CHILD.parent)])
    return subprocess.Popen(
        [sys.executable, str(CHILD), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tmp_path):
    straight = child(tmp_path / "straight", tmp_path / "straight.json")
    killed = child(tmp_path / "killed", tmp_path / "killed.json", 11)
    for line in killed.stdout:
        if "kill me" in line:
            break
    killed.kill()  # SIGKILL: no handler runs, nothing is flushed
    killed.communicate()
    assert not (tmp_path / "killed.json").exists()
    assert [path.name for path in (tmp_path / "killed").glob("step-*")] == ["step-000009"]
    # A writer that was killed half-way leaves this behind: it must neither be loaded nor stay.
    half = tmp_path / "killed" / f".step-000010.{cache.host()}.999999999.x.part" / "step-000010"
    half.mkdir(parents=True)
    (half / "run.json").write_text("{", encoding="utf-8")
    out = finish(child(tmp_path / "killed", tmp_path / "killed.json"))
    assert "Going on after step 9 of 24" in out
    finish(straight)
    one, other = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("straight.json", "killed.json")
    )
    assert len(one["losses"]) == 24 and len(one["checks"]) == 6
    assert other == one
    assert not list((tmp_path / "killed").glob(".*.part"))


def run(folder, **options):
    settings = finetuning.Settings(**({"learning_rate": 0.01, "save_every": 5} | options))
    model = tiny.adapted()
    return model, finetuning.train(model, tiny.examples(), settings, folder=folder, quiet=True, pad=2)


def test_a_finished_run_is_loaded_not_repeated(tmp_path):
    (first, one), (second, other) = run(tmp_path), run(tmp_path)
    assert one.losses == other.losses and one.tokens > 0 == other.tokens
    for name, weight in checkpoints.trained(first).items():
        assert torch.equal(checkpoints.trained(second)[name], weight)


def test_a_checkpoint_is_small_and_there_is_one(tmp_path):
    model, _ = run(tmp_path)
    (folder,) = tmp_path.iterdir()
    trained = sum(4 * value.numel() for value in checkpoints.trained(model).values())
    assert (folder / "trained.safetensors").stat().st_size < trained + 10_000
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4 * trained + 60_000


def test_a_folder_is_of_one_run(tmp_path):
    run(tmp_path)
    with pytest.raises(LabError, match="differs in learning_rate, seed: give another folder, or fresh=True"):
        run(tmp_path, seed=4, learning_rate=0.1)
    run(tmp_path, save_every=7, gradient_checkpointing=True)  # change no result
    model = tiny.adapted()
    with pytest.raises(LabError, match="differs in data"):
        settings = finetuning.Settings(learning_rate=0.01)
        finetuning.train(model, tiny.examples(seed=3), settings, folder=tmp_path, quiet=True, pad=2)
    history = finetuning.train(model, tiny.examples(), QUICK, folder=tmp_path, fresh=True, quiet=True, pad=2)
    assert history.tokens > 0


def test_a_damaged_record_is_told(tmp_path):
    run(tmp_path)
    next(tmp_path.glob("step-*/run.json")).write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match="cannot be read .* delete that folder"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch": 0}, "batch=0"),
        ({"learning_rate": 0}, "above 0"),
        ({"batch": 64}, "less than one step of 64"),
        ({"check_every": 2}, "give some, or set it to 0"),
    ],
)
def test_settings_that_make_no_sense_are_told(options, said):
    with pytest.raises(LabError, match=said):
        run(None, **options)


def test_a_loss_that_is_not_recorded_is_told(monkeypatch):
    monkeypatch.setattr(loop.Run, "record", lambda run, loss: None)
    with pytest.raises(LabError, match="call run.record"):
        run(None)


def test_a_loss_that_is_no_number_ends_the_run():
    model = tiny.adapted()
    next(p for p in model.parameters() if p.requires_grad).data.fill_(float("nan"))
    with pytest.raises(LabError, match="smaller learning rate"):
        finetuning.train(model, tiny.examples(), quiet=True, pad=2)
    with pytest.raises(LabError, match="put an adapter on it"):
        finetuning.train(tiny.model().requires_grad_(False), tiny.examples(), quiet=True, pad=2)


def test_the_curve_is_drawn_where_the_numbers_are():
    picture = finetuning.curve_svg([2.0, 1.0], [(2, 0.5)], steps=3)
    assert (
        picture.count("<circle") == 1 and 'aria-label="Training loss, 2.000 at step 1 and 1.000 at step 2"' in picture
    )
    points = [tuple(map(float, pair.split(","))) for pair in picture.split('points="')[1].split('"')[0].split()]
    (left, high), (middle, low) = points
    assert high == 6 and low == pytest.approx((high + live._HEIGHT - live._BOTTOM) / 2)
    assert middle - left == pytest.approx((live._WIDTH - live._LEFT - 6) / 2)
    assert live.curve_svg([]) == "" and "nan" not in live.curve_svg([0.0])
