"""From a row of data to what a model is trained on: the chat format, the loss mask, a padded batch, the loss.

Batches are padded on the left, so that all answers end at the last place and only their logits have to be computed
(`logits_to_keep`). With 49,152 words in the vocabulary, logits are most of a step's memory.
Knows token ids. Knows nothing of how a model learns (`loop`) or is judged (`scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.models.chat_format import templated

if TYPE_CHECKING:
    import torch

# Places with this label are left out of the loss: the convention of torch's cross entropy and of every trainer.
IGNORED = -100
# What a model is told before each note, in training and afterwards.
INSTRUCTION = "Reply with JSON: name, amount, date."

Example = dict[str, list[int]]
Message = dict[str, str]


def messages(row: Mapping[str, str], *, instruction: str = INSTRUCTION) -> list[Message]:
    """The conversation of a row of the data set `notes`: the instruction, the note, and the answer if it has one."""
    found = [{"role": "system", "content": instruction}, {"role": "user", "content": row["note"]}]
    return [*found, {"role": "assistant", "content": row["answer"]}] if "answer" in row else found


def encode(conversation: Sequence[Message], tokenizer: Any) -> Example:
    """`input_ids` and `labels` of a conversation that ends with the assistant's answer.

    The labels are the ids where the answer and its end token stand, and -100 elsewhere: the model is to learn to write
    answers, not questions. LabError when the last message is not the assistant's, or the template has no end token.
    """
    if not conversation or conversation[-1]["role"] != "assistant":
        raise LabError("A training example must end with a message of the role 'assistant': add the answer.")
    prompt = templated(tokenizer, conversation[:-1], add_generation_prompt=True, tokenize=False)
    whole = templated(tokenizer, conversation, tokenize=False)
    if not whole.startswith(prompt):
        raise LabError("This chat template writes a finished answer in another way than it asks for one: mask by hand.")
    answer, end, _ = whole[len(prompt) :].partition(tokenizer.eos_token or "\0")
    if not end:
        raise LabError("This chat template does not close an answer with the end token: the model would never stop.")
    # The end token is kept; the line break that the template writes after it is never generated.
    asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    wanted = tokenizer(answer + end, add_special_tokens=False)["input_ids"]
    return {"input_ids": asked + wanted, "labels": [IGNORED] * len(asked) + wanted}


def collate(examples: Sequence[Example], *, pad: int) -> dict[str, torch.Tensor]:
    """A batch: `input_ids`, `attention_mask` and `labels`, each of shape (examples, longest), padded on the left."""
    import torch

    width = max(len(one["input_ids"]) for one in examples)
    fill = {"input_ids": pad, "attention_mask": 0, "labels": IGNORED}
    columns: dict[str, list[list[int]]] = {name: [] for name in fill}
    for one in examples:
        full = {**one, "attention_mask": [1] * len(one["input_ids"])}
        for name, value in fill.items():
            columns[name].append([value] * (width - len(full[name])) + full[name])
    return {name: torch.tensor(rows) for name, rows in columns.items()}


def batch_for(model: Any, examples: Sequence[Example], *, pad: int) -> dict[str, torch.Tensor]:
    """The batch of `collate`, on the device where the model is."""
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in collate(examples, pad=pad).items()}


def answer_loss(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The mean, over the answers of a batch, of each answer's mean loss per token, in nats.

    Each answer counts the same, however long it is. So the loss of a large batch is exactly the mean of the losses of
    its parts, whether they come one after another (gradient accumulation) or from several processes; a mean over all
    tokens of a batch is not.
    """
    return (-log_probabilities(model, batch) / answer_lengths(batch)).mean()


def mean_loss(model: Any, examples: Sequence[Example], *, pad: int = 0, batch: int = 4) -> float:
    """The loss of `answer_loss` over examples, without learning from them."""
    import torch

    was_training, total = model.training, 0.0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(examples), batch):
            part = examples[start : start + batch]
            total += answer_loss(model, batch_for(model, part, pad=pad)).item() * len(part)
    model.train(was_training)
    return total / len(examples)


def answer_lengths(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """How many tokens each answer of a batch has, shape (examples,)."""
    return (batch["labels"] != IGNORED).sum(1)


def log_probabilities(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The log probability of each answer of a batch, shape (examples,): the sum over its tokens, in nats."""
    import torch

    logits, wanted = answer_logits(model, batch)
    # Logits and labels in one row each: no copy of the logits is made, as there would be for (examples, words, places).
    flat = {"input": logits.flatten(0, 1), "target": wanted.flatten(), "ignore_index": IGNORED, "reduction": "none"}
    return -torch.nn.functional.cross_entropy(**flat).view_as(wanted).sum(1)


def answer_logits(model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits at the places of the longest answer, and the token that is wanted after each of them.

    Their shapes are (examples, places, words) and (examples, places); -100 where nothing is wanted.
    """
    import torch

    labels = batch["labels"]
    kept = int(answer_lengths(batch).max())
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    logits = model(**inputs, logits_to_keep=kept + 1, use_cache=False).logits
    # The logits at one place say what comes at the next: the last ones say nothing that is wanted.
    return logits, torch.nn.functional.pad(labels[:, -kept:], (0, 1), value=IGNORED)
