"""The exercises of lesson 07, Fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.lessons.exercises.coded import Coded, expect, is_close, number_of
from labkit.lessons.exercises.questions import Open


class LossMask(Coded):
    """Which tokens of a training example the loss counts."""

    number = "07.1"
    title = "Mask the question"
    names = ("labels_of",)
    hints = (
        "The labels are as long as the ids. A place with -100 costs nothing.",
        "The first `prompt` places are the question: -100 there, the ids themselves after it.",
        "`[-100] * prompt + ids[prompt:]`: the end token is the last id, and is to be learnt too.",
    )
    code = """
def labels_of(ids, prompt):
    return [-100] * prompt + ids[prompt:]
"""
    why = (
        "Without the mask the model learns to write notes as well as answers, and most of its effort goes into the "
        "notes, which nobody asks of it. The shift by one, that a token is predicted from those before it, is done in "
        "the loss, not in the labels."
    )
    also_correct = (
        "def labels_of(ids, prompt):\n    return [-100 if place < prompt else i for place, i in enumerate(ids)]",
        "import torch\ndef labels_of(ids, prompt):\n    t = torch.tensor(ids)\n    t[:prompt] = -100\n    return t",
    )
    mistakes = (
        ("def labels_of(ids, prompt):\n    return ids", "are counted too"),
        ("def labels_of(ids, prompt):\n    return ids[prompt:]", "as long as the ids"),
        ("def labels_of(ids, prompt):\n    return ids[:prompt] + [-100] * (len(ids) - prompt)", "other way round"),
        (
            "def labels_of(ids, prompt):\n    return [-100] * (prompt + 1) + ids[prompt + 1:]",
            "first token of the answer",
        ),
        ("def labels_of(ids, prompt):\n    return [-100] * prompt + ids[prompt:-1] + [-100]", "end token"),
        ("def labels_of(ids, prompt):\n    return [0] * prompt + ids[prompt:]", "-100"),
        ("labels_of = [-100, 5]", "should be a function"),
    )

    def verify(self, labels_of: Callable[[list[int], int], Any]) -> str:
        expect(callable(labels_of), "labels_of should be a function of ids and prompt.")
        for ids, prompt in (([11, 12, 13, 21, 22, 2], 3), ([7, 8, 2], 1), ([5, 2], 0)):
            found = labels_of(list(ids), prompt)
            found = found.tolist() if hasattr(found, "tolist") else list(found)
            case = f"for ids {ids} and prompt {prompt} you return {found}:"
            expect(len(found) == len(ids), f"{case} the labels must be as long as the ids.")
            if found == [*ids[:prompt], *[-100] * (len(ids) - prompt)] and prompt:
                expect(False, f"{case} it is the other way round: the question is masked.")
            expect(prompt == 0 or found[:prompt] != ids[:prompt], f"{case} the tokens of the question are counted too.")
            expect(all(value == -100 for value in found[:prompt]), f"{case} what does not count has the label -100.")
            expect(found[prompt] == ids[prompt], f"{case} the first token of the answer must be learnt too.")
            expect(found[-1] == ids[-1], f"{case} the end token must be learnt too, or the model never stops.")
            expect(found[prompt:] == ids[prompt:], f"{case} after the question the labels are the ids themselves.")
        return "The question costs nothing, the answer and its end token do."


class LoraForward(Coded):
    """What a layer with an adapter computes."""

    number = "07.2"
    title = "Two thin matrices"
    names = ("lora",)
    hints = (
        "x has a row a token. A has `rank` rows, B has `rank` columns: first through A, then through B.",
        "x @ W.T is what the layer did before. The adapter adds x @ A.T @ B.T, scaled.",
        "The scale is alpha / rank, and the rank is A.shape[0].",
    )
    code = """
def lora(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * (x @ A.T @ B.T)
"""
    why = (
        "W stays as it is. Because the scale is divided by the rank, a learning rate that was right for rank 8 is "
        "about right for rank 64 too. Computed from left to right, the big matrix B A is never made."
    )
    also_correct = ("def lora(x, W, A, B, alpha):\n    return x @ (W + (alpha / len(A)) * (B @ A)).T",)
    mistakes = (
        ("def lora(x, W, A, B, alpha):\n    return x @ W.T", "adapter is missing"),
        ("def lora(x, W, A, B, alpha):\n    return x @ W.T + x @ A.T @ B.T", "scale"),
        ("def lora(x, W, A, B, alpha):\n    return x @ W.T + alpha * (x @ A.T @ B.T)", "divided by the rank"),
        ("def lora(x, W, A, B, alpha):\n    return alpha / A.shape[0] * (x @ A.T @ B.T)", "what the layer did before"),
        (
            "def lora(x, W, A, B, alpha):\n    return x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T)",
            "rank is the number of rows of A",
        ),
        ("def lora(x, W, A, B, alpha):\n    return x @ W.T + 1.1 * (x @ A.T @ B.T)", "is another number"),
        ("def lora(x, W, A, B, alpha):\n    return (x @ W.T)[:1]", "shape"),
        ("lora = 3", "should be a function"),
    )

    def verify(self, lora: Callable[..., Any]) -> str:
        import torch

        expect(callable(lora), "lora should be a function of x, W, A, B and alpha.")
        draw = torch.Generator().manual_seed(0)
        x, w, a, b = (torch.randn(*size, generator=draw) for size in ((5, 6), (4, 6), (2, 6), (4, 2)))
        for alpha in (5.0, 10.0):
            before, added = x @ w.T, x @ a.T @ b.T
            found = torch.as_tensor(lora(x, w, a, b, alpha))
            expect(found.shape == before.shape, f"the result has the shape {tuple(found.shape)}, not (5, 4).")
            slips = (
                (before, "that is the layer without its change: the adapter is missing."),
                (before + added, "the scale alpha / rank is missing."),
                (before + alpha * added, "the scale is alpha divided by the rank."),
                (alpha / 2 * added, "that is the change alone: add what the layer did before."),
                (before + alpha / 6 * added, "the rank is the number of rows of A, not of its columns."),
            )
            for value, slip in slips:
                expect(not torch.allclose(found, value, atol=1e-5), slip)
            right = before + alpha / 2 * added
            message = f"x @ W.T is right and the change is another number: at the first place {found[0, 0]:.3f}."
            expect(torch.allclose(found, right, atol=1e-4), message)
        return "With B at zero, as it starts, this is the layer as it was."


class AdapterSize(Coded):
    """How large an adapter is, and what a 4-bit model needs beside it."""

    number = "07.3"
    title = "An adapter for LLaMA-2-7B"
    names = ("trained", "weights_gb")
    hints = (
        "Each matrix of 4,096 × 4,096 gets A (rank × 4,096) and B (4,096 × rank). There are 32 layers.",
        "Queries and values of a layer: 2 × rank × (4,096 + 4,096).",
        "6.74 billion weights of 4.5 bits each are how many bytes? 8 bits are a byte.",
    )
    code = """
trained = 32 * 2 * 16 * (4096 + 4096)
weights_gb = 6_738_415_616 * 4.5 / 8 / 1e9
"""
    why = (
        "8.4 million numbers are trained, an eighth of a per cent of the model; with gradients and AdamW they take "
        "0.1 GB. The 4-bit weights take 3.8 GB. So a free GPU with 16 GB trains a 7B model, where training every "
        "weight would take 108 GB."
    )
    also_correct = ("trained, weights_gb = 8_388_608, 3.79",)
    mistakes = (
        ("trained, weights_gb = 262_144, 3.79", "32 layers"),
        ("trained, weights_gb = 4_194_304, 3.79", "values"),
        ("trained, weights_gb = 16_777_216, 3.79", "two matrices"),
        ("trained, weights_gb = 32 * 2 * 4096 * 4096, 3.79", "matrices themselves"),
        ("trained, weights_gb = 8_388_608, 30.3", "8 bits"),
        ("trained, weights_gb = 8_388_608, 13.5", "16 bits"),
        ("trained, weights_gb = 1, 3.79", "rank × (in + out)"),
        ("trained, weights_gb = 8_388_608, 1", "4.5 bits"),
        ("trained, weights_gb = 'many', 1", "should be a number"),
    )

    def verify(self, trained: Any, weights_gb: Any) -> str:
        trained, weights = number_of(trained, "trained"), number_of(weights_gb, "weights_gb")
        slips = {
            262_144: "that is one layer: the model has 32 layers.",
            4_194_304: "count A and B, for the queries and for the values.",
            16_777_216: "that is four matrices a layer: only two matrices, queries and values, get an adapter.",
            32 * 2 * 4096 * 4096: "those are the matrices themselves, which stay frozen.",
        }
        for value, slip in slips.items():
            expect(trained != value, slip)
        expect(trained == 8_388_608, f"trained is {trained:,.0f}: rank × (in + out), twice a layer, 32 layers.")
        expect(not is_close(weights, 30.3, 0.02), "4.5 is in bits, and 8 bits are a byte.")
        expect(not is_close(weights, 13.5, 0.02), "that is in 16 bits a weight: QLoRA keeps them in 4.5.")
        expect(is_close(weights, 3.79, 0.01), f"weights_gb is {weights:g}: 6.74 billion × 4.5 bits, in bytes.")
        return "3.8 GB of frozen weights, and 8.4 million numbers that learn."


class WhenNot(Open):
    """Deciding not to fine-tune."""

    number = "07.5"
    title = "When not to fine-tune"
    question = (
        "A colleague wants to fine-tune a model so that it answers questions about your firm's price list, which "
        "changes every week. What do you advise, and why?"
    )
    rubric = (
        "says that facts which change belong in the prompt (retrieval), not into weights;",
        "names what fine-tuning is good at: form, tone, a fixed task done often;",
        "proposes to measure first: a better prompt, examples in the prompt, with numbers on held-out questions;",
        "names a cost of fine-tuning: data, evaluation, forgetting, training again each week.",
    )
    example = (
        "I would not fine-tune. The list changes weekly, and weights cannot be edited like a file: put the rows that "
        "a question needs into the prompt, and the answer is as fresh as the list. Fine-tuning would fit if the form "
        "of the answers were the trouble. First I would measure fifty real questions with a good prompt and three "
        "examples; if that answers 90 % there is nothing to train, and nothing to forget."
    )
    hints = (
        "What has to happen each time when a price changes?",
        "Section 1 measured the prompt and the examples before anything was trained.",
    )
