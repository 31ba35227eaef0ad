"""Pieces are exact: their bytes make the text again, whatever the text is."""

import functools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from labkit import models, tokens
from labkit.errors import LabError


@functools.cache
def load():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(models.ensure(quiet=True))


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


def test_a_tokenizer_that_is_not_byte_level_is_refused():
    class SentencePiece:
        added_tokens_decoder = {}

        def convert_ids_to_tokens(self, _):
            return "▁hello"

    with pytest.raises(LabError, match="not byte-level"):
        tokens.describe(1, SentencePiece())
