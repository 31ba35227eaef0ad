"""Pieces are exact: their bytes make the text again, whatever the text is."""

import functools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from labkit.base.errors import LabError
from labkit.facts import tokens
from labkit.world import weights


@functools.cache
def load():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(weights.ensure(quiet=True))


@pytest.fixture
def tokenizer(course_cache):
    return load()


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_the_pieces_of_any_text_make_the_text(tokenizer, text):
    assume(not set(text.encode()) & missing_bytes())
    found = tokens.pieces(text, tokenizer)
    assert tokens.join(found) == text
    assert [token.id for token in found] == tokenizer(text)["input_ids"]


@functools.cache
def missing_bytes() -> set[int]:
    """Bytes that SmolLM2's vocabulary has no token for: control characters and some that UTF-8 seldom uses."""
    known = load().get_vocab()
    return {byte for character, byte in tokens._byte_of_character().items() if character not in known}


def test_a_byte_without_a_token_is_lost_to_the_model_and_that_is_visible(tokenizer):
    assert 0x16 in missing_bytes() and not missing_bytes() & set(b"abc xyz 0123 \n\t")
    assert [token.text for token in tokens.pieces("a\x16b", tokenizer)] == ["a", "b"]


@pytest.mark.parametrize("text", ["🙂👩‍🚀", "Straße 東京", "\n\n\t  x", "e\u0301", "<|im_start|>user"])
def test_awkward_texts(tokenizer, text):
    assert tokens.join(tokens.pieces(text, tokenizer)) == text


def test_a_part_of_a_character_is_shown_as_bytes(tokenizer):
    found = tokens.pieces("𓀀", tokenizer)
    assert len(found) > 1 and all(token.text.startswith("<") for token in found)


def test_special_tokens_are_marked(tokenizer):
    assert [token.special for token in tokens.pieces("<|im_end|>x", tokenizer)] == [True, False]


def test_the_first_pieces_of_a_long_text(tokenizer):
    text = "Straße 🙂 " * 50
    assert tokens.pieces(text, tokenizer, most=7) == tokens.pieces(text, tokenizer)[:7]


def test_a_sentence_costs_more_in_other_languages(tokenizer):
    table = tokens.by_language(tokenizer)
    assert table.index.tolist() == list(tokens.SENTENCES) and table.times["English"] == 1
    for language, row in table.iterrows():
        count = tokens.count(tokens.SENTENCES[language], tokenizer)
        assert (row.tokens, row.words, row.tokens_per_word) == (count.tokens, count.words, count.tokens_per_word)
        assert row.times == pytest.approx(count.tokens / table.tokens["English"])
    assert table.times["Hindi"] > 3  # as lesson 01 says
    assert tokens.by_language(tokenizer, {"a": "one", "b": "one one one"}).times.tolist() == [1.0, 3.0]


def test_counts_and_table(tokenizer):
    count = tokens.count("Straße 🙂", tokenizer)
    assert (count.words, count.characters, count.bytes, count.tokens, count.tokens_per_word) == (2, 8, 12, 4, 2.0)
    assert tokens.count("", tokenizer).tokens_per_word == 0
    table = tokens.table("Straße 🙂", tokenizer)
    assert table.piece.tolist() == ["Stra", "ß", "e", " 🙂"]
    assert table.bytes.tolist()[-1] == "20 f0 9f 99 82"


def test_a_number_outside_the_vocabulary_is_refused(tokenizer):
    with pytest.raises(LabError, match="numbers 0 to 49151"):
        tokens.describe(60_000, tokenizer)


def small(vocabulary: list[str], **options) -> object:
    """A real tokenizer of the library with a vocabulary of a few tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE, WordLevel
    from transformers import PreTrainedTokenizerFast

    numbered = {token: number for number, token in enumerate(["<unk>", *vocabulary])}
    model = BPE(numbered, [], unk_token="<unk>", **options) if options else WordLevel(numbered, unk_token="<unk>")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="<unk>")


def test_a_sentencepiece_tokenizer_as_llama_2_and_mistral_have():
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = small([*every_byte, *"\u2581abcé"], byte_fallback=True)
    found = tokens.pieces("a\u2581é🙂", tokenizer)
    assert [token.text for token in found] == ["a", " ", "é", "<F0>", "<9F>", "<99>", "<82>"]
    assert tokens.join(found) == "a é🙂"


def test_another_kind_of_tokenizer_is_refused():
    with pytest.raises(LabError, match="neither byte-level nor SentencePiece"):
        tokens.pieces("東京", small(["東京"]))
