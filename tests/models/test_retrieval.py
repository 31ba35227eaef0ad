"""Retrieval: the vectors are right, each search finds what it is for, and fusion is that of the paper."""

import numpy as np
import pytest

from labkit.base.errors import LabError
from labkit.facts import teaching_data
from labkit.models import retrieval


@pytest.fixture(scope="module")
def search(_cache_with_model):
    from tests.sharing import at

    with at(_cache_with_model):
        return retrieval.Search(teaching_data.load("documents", "passages"))


@pytest.fixture(scope="module")
def found(search):
    rows = teaching_data.load("documents", "test")
    return {how: retrieval.ranks(search, rows, how) for how in retrieval.WAYS}


def test_a_vector_does_not_depend_on_its_neighbours_in_the_batch(search):
    alone, together = (
        retrieval.embed(["How long may I keep it?"]),
        retrieval.embed(["a " * 300, "How long may I keep it?"]),
    )
    assert alone.shape == (1, 384) and np.allclose(alone[0], together[1], atol=1e-6)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.allclose(retrieval.embed(["word " * 254]), retrieval.embed(["word " * 900]), atol=1e-6), "cut at 256"
    assert retrieval.embed([]).shape == (0, 384)


def test_the_hybrid_finds_the_passage_among_five_for_at_least_95_of_100_questions(found):
    recall = {how: retrieval.recall(ranks, 5).share for how, ranks in found.items()}
    assert recall["both"] >= 0.95
    assert recall["both"] > recall["meaning"] > recall["words"]


def test_words_and_meaning_are_good_at_different_questions(found):
    kinds = [row["kind"] for row in teaching_data.load("documents", "test")]
    share = {
        (how, kind): np.mean([rank <= 5 for rank, own in zip(found[how], kinds, strict=True) if own == kind])
        for how in ("meaning", "words")
        for kind in ("meaning", "words")
    }
    assert share["words", "words"] >= 0.98 > 0.8 > share["words", "meaning"]
    assert share["meaning", "meaning"] > 0.9


def test_what_is_near_is_shown_with_its_reason(search):
    table = search.nearest("How many bar do city tyres need?", k=3)
    assert table.id.iloc[0] == "bikes-09" and table.shared.iloc[0] == "bar city tyres"
    assert list(table.index) == [1, 2, 3]
    assert (search.words("zzz") == 0).all() and (search.words("a") == 0).all()


def test_fusion_is_that_of_the_paper(search):
    one, other = (search.ranking("Who looks after the children?", how) for how in ("meaning", "words"))
    place = {int(where): 1 / (61 + rank) for rank, where in enumerate(one)}
    total = [place[int(where)] + 1 / (61 + rank) for rank, where in enumerate(other)]
    best = other[int(np.argmax(total))]
    assert search.ranking("Who looks after the children?")[0] == best


def test_the_map_keeps_what_differs_most_and_is_never_mirrored(search):
    middle, axes = retrieval.plane(search.vectors)
    again = retrieval.plane(search.vectors[::-1])
    assert np.allclose(axes.T @ axes, np.eye(2), atol=1e-5) and np.allclose(axes, again[1], atol=1e-3)
    spread = ((search.vectors - middle) @ axes).var(0).sum()
    assert spread > 0.1 * search.vectors.var(0).sum()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda search: search.ranking("x", "colour"), "choose both, meaning, words"),
        (lambda search: search.ranking("  "), "at least one word"),
        (lambda search: retrieval.Search([]), "nothing to search in"),
        (lambda search: retrieval.recall([], 5), "at least one rank"),
        (lambda search: retrieval.mrr([]), "at least one rank"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(search, wrong, complaint):
    with pytest.raises(LabError, match=complaint):
        wrong(search)


@pytest.mark.slow
def test_the_vectors_are_those_of_sentence_transformers(course_cache):
    """Its own pipeline reads pooling and length from the files of the model. Skipped where it is not installed."""
    package = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from labkit.facts import catalogue
    from labkit.world import weights

    texts = [retrieval.titled(row) for row in teaching_data.load("documents", "passages")] + ["word " * 900, "?"]
    theirs = package.SentenceTransformer(str(weights.ensure(catalogue.EMBEDDER)), device="cpu").encode(texts)
    assert np.abs(theirs - retrieval.embed(texts)).max() < 1e-5
