"""Loading, chatting and streaming through the real model; what cannot work is said in one sentence, early."""

import threading

import pytest

from labkit.base.errors import LabError
from labkit.models import local
from tests.commands import python

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def pair(pair):
    return dict(zip(("model", "tokenizer"), pair, strict=True))


def test_load_gives_the_librarys_own_objects(pair):
    assert type(pair["model"]).__name__ == "LlamaForCausalLM"
    assert not pair["model"].training
    assert pair["model"].num_parameters() == 134_515_008


def test_chat_answers_and_takes_a_string_too(pair):
    assert local.chat(QUESTION, **pair) == "The capital of France is Paris."
    assert local.chat(QUESTION[0]["content"], **pair) == local.chat(QUESTION, **pair)


def test_chat_is_the_librarys_own_generate(pair):
    inputs = pair["tokenizer"].apply_chat_template(
        QUESTION, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    bare = pair["model"].generate(**inputs, max_new_tokens=30, do_sample=False)
    answer = pair["tokenizer"].decode(bare[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert local.chat(QUESTION, **pair, max_new_tokens=30) == answer


def test_the_pieces_of_a_stream_make_the_answer(pair):
    question = "Name three fruits. Say also naïve, 東京 and 🙂."
    pieces = list(local.stream(question, **pair, max_new_tokens=40))
    assert len(pieces) > 3
    assert "".join(pieces) == local.chat(question, **pair, max_new_tokens=40)


def test_a_stream_stops_when_asked(pair):
    stop = threading.Event()
    pieces = []
    for piece in local.stream("Tell a very long story.", **pair, max_new_tokens=200, stop=stop):
        pieces.append(piece)
        stop.set()
    assert len(pieces) < 10


def test_a_stream_that_is_left_early_leaves_no_thread(pair):
    for _ in local.stream("Tell a very long story.", **pair, max_new_tokens=200):
        break
    assert not [thread for thread in threading.enumerate() if thread.name == "labkit-stream"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the main thread", "in a thread of its own"])
def test_leaving_python_in_the_middle_of_an_answer_is_calm(course_cache, where):
    program = """
import sys, threading, time
from labkit import local
pieces = local.stream("Tell a very long story.", max_new_tokens=2000)
next(pieces)
if sys.argv[1] != "in the main thread":
    threading.Thread(target=lambda: [None for _ in pieces], daemon=True).start()
    time.sleep(0.5)
"""
    done = python(program, where)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_a_stream_never_sets_the_callers_event(pair):
    stop = threading.Event()
    list(local.stream(QUESTION, **pair, stop=stop))
    assert not stop.is_set()


def test_a_failure_in_the_streaming_thread_reaches_the_caller(pair):
    class Broken:
        config, device = pair["model"].config, pair["model"].device

        def generate(self, **_):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        list(local.stream(QUESTION, model=Broken(), tokenizer=pair["tokenizer"]))


def test_a_seed_repeats_a_sample_and_leaves_the_callers_randomness_alone(pair):
    import torch

    settings = {"temperature": 1.5, "max_new_tokens": 12, **pair}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = local.chat("Tell a story.", seed=1, **settings)
    assert torch.equal(torch.rand(1), expected)
    assert first == local.chat("Tell a story.", seed=1, **settings)
    assert first == "".join(local.stream("Tell a story.", seed=1, **settings))
    assert first != local.chat("Tell a story.", seed=2, **settings)


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(pair):
    with pytest.raises(LabError, match=r"9,0\d\d tokens long and this model reads at most 8,192"):
        local.chat("sea " * 9000, **pair)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"max_new_tokens": 0}])
def test_settings_out_of_range_are_refused(pair, wrong):
    with pytest.raises(LabError, match="must be"):
        local.chat(QUESTION, **pair, **wrong)


def test_a_base_model_has_no_chat(pair):
    class NoTemplate:
        chat_template = None

    with pytest.raises(LabError, match="no chat template"):
        local.chat(QUESTION, model=pair["model"], tokenizer=NoTemplate())


def test_slips_in_a_call_are_a_sentence(pair):
    with pytest.raises(LabError, match="no setting max_tokens"):
        local.chat(QUESTION, **pair, max_tokens=3)
    for messages in (5, ["Hello"]):
        with pytest.raises(LabError, match="Ask with a text"):
            local.chat(messages, **pair)
    assert local.chat(QUESTION, pair["model"], pair["tokenizer"], max_new_tokens=3)  # the names are forgotten


def test_half_a_pair_is_refused(pair):
    with pytest.raises(LabError, match="both"):
        local.chat(QUESTION, model=pair["model"])


def test_a_model_too_large_for_this_machine_is_refused_before_loading(monkeypatch):
    with pytest.raises(LabError, match=r"GB"):
        local.load("llama-2-70b", dtype="fp32")


def test_an_unknown_dtype_names_the_known_ones():
    with pytest.raises(LabError, match="fp32, bf16, fp16"):
        local.torch_dtype("fp8")


def test_measure_counts_what_it_was_asked(pair):
    speed = local.measure(pair["model"], prompt_tokens=16, new_tokens=4)
    assert (speed.prompt_tokens, speed.new_tokens) == (16, 4)
    assert speed.prefill_tokens_per_s > 0 and speed.decode_tokens_per_s > 0
