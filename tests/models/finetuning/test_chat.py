"""The chat format and the loss mask by hand, against the libraries' own."""

from __future__ import annotations

import pytest
import tiny
import torch

from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import finetuning
from labkit.models.finetuning import chat

# The course model's template with the marks that transformers' own mask needs.
MARKED = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant'
%}{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}{{'\n'}}{% else
%}{{message['content'] + '<|im_end|>' + '\n'}}{% endif %}{% endfor %}"""


@pytest.fixture
def tokenizer(pair):
    return pair[1]


def rows(count=6):
    return teaching_data.load("notes", "train")[:count]


def test_ids_and_mask_are_those_of_apply_chat_template(tokenizer):
    for row in rows(20):
        conversation = finetuning.messages(row)
        ours = finetuning.encode(conversation, tokenizer)
        theirs = tokenizer.apply_chat_template(
            conversation, chat_template=MARKED, return_dict=True, return_assistant_tokens_mask=True
        )
        # The template writes a line break after the end token, which ours leaves out.
        width = len(ours["input_ids"])
        assert theirs["input_ids"][:width] == ours["input_ids"]
        assert tokenizer.decode(theirs["input_ids"][width:]) == "\n"
        counted = [int(label != chat.IGNORED) for label in ours["labels"]]
        assert counted == list(theirs["assistant_masks"])[:width] and sum(counted) == sum(theirs["assistant_masks"])
        assert tokenizer.decode([label for label in ours["labels"] if label >= 0]) == row["answer"] + "<|im_end|>"


def test_a_batch_is_padded_on_the_left():
    batch = finetuning.collate(
        [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}], pad=2
    )
    assert batch["input_ids"].tolist() == [[5, 6, 7], [2, 2, 8]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [-100, -100, 8]]


def test_a_batch_is_what_the_librarys_collator_makes(tokenizer):
    from transformers import DataCollatorForSeq2Seq

    examples = [finetuning.encode(finetuning.messages(row), tokenizer) for row in rows(5)]
    assert len({len(one["input_ids"]) for one in examples}) > 1, "without padding nothing would be compared"
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    before, tokenizer.padding_side = tokenizer.padding_side, "left"
    try:
        theirs = collator([dict(one) for one in examples])
    finally:
        tokenizer.padding_side = before
    ours = finetuning.collate(examples, pad=tokenizer.pad_token_id)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_loss_of_one_example_is_the_librarys():
    model = tiny.model()
    for example in tiny.examples(5):
        ids, labels = torch.tensor([example["input_ids"]]), torch.tensor([example["labels"]])
        theirs = model(input_ids=ids, labels=labels).loss
        torch.testing.assert_close(finetuning.answer_loss(model, finetuning.collate([example], pad=2)), theirs)


def test_the_loss_of_a_batch_is_the_mean_of_its_examples_whatever_the_padding():
    model, examples = tiny.model(), tiny.examples(6)
    single = [finetuning.answer_loss(model, finetuning.collate([one], pad=2)) for one in examples]
    together = finetuning.answer_loss(model, finetuning.collate(examples, pad=2))
    torch.testing.assert_close(together, torch.stack(single).mean())
    longer = [{"input_ids": [3] * 9 + examples[0]["input_ids"], "labels": [-100] * 9 + examples[0]["labels"]}]
    assert finetuning.answer_loss(model, finetuning.collate(longer, pad=2)) != single[0]


def test_only_the_answers_logits_are_computed():
    seen = []
    model, example = tiny.model(), tiny.examples(1)[0]
    model.lm_head.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[1]))
    finetuning.answer_loss(model, finetuning.collate([example], pad=2))
    assert seen == [sum(label >= 0 for label in example["labels"]) + 1] and seen[0] < len(example["input_ids"])


def test_what_is_no_training_example_is_told(tokenizer):
    with pytest.raises(LabError, match="must end with a message of the role 'assistant'"):
        finetuning.encode(finetuning.messages({"note": "x"}), tokenizer)
    with pytest.raises(LabError, match="must end"):
        finetuning.encode([], tokenizer)


def test_an_answer_that_holds_the_end_token_is_cut_there_like_a_model_would(tokenizer):
    example = finetuning.encode(chat.messages({"note": "a", "answer": "b<|im_end|>c"}), tokenizer)
    assert tokenizer.decode([label for label in example["labels"] if label >= 0]) == "b<|im_end|>"
