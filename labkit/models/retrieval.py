"""Find the passage that answers a question: by meaning (vectors), by words (BM25), or by both.

What lesson 08 shows by hand, once more for its widget, its exercises and the tests. Knows vectors, ranks and how to
measure them; knows nothing of how an answer is written.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError
from labkit.facts import catalogue, teaching_data
from labkit.models.evaluation.scores import wilson
from labkit.world import weights

if TYPE_CHECKING:
    import numpy as np
    import pandas

WAYS = ("both", "meaning", "words")
FUSION = 60  # of reciprocal rank fusion, as in its paper; section 3 of the lesson says what it does
Passage = dict[str, str]


@functools.cache
def load() -> tuple[Any, Any]:
    """`(model, tokenizer)` of the embedding model, fetched if it is not here yet. LabError when it cannot be had."""
    from transformers import AutoModel, AutoTokenizer

    folder = weights.ensure(catalogue.EMBEDDER)
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def embed(texts: Sequence[str], *, batch: int = 8) -> np.ndarray:
    """A vector of length 1 for each text, (texts, 384) in fp32: the mean over its tokens, normalized.

    A text of more than 256 tokens is cut there, as the model's makers do. The same as sentence-transformers gives.
    """
    import numpy as np
    import torch

    model, tokenizer = load()
    longest = catalogue.get(catalogue.EMBEDDER).context
    found = [np.zeros((0, model.config.hidden_size), dtype=np.float32)]
    for start in range(0, len(texts), batch):
        part = list(texts[start : start + batch])
        inputs = tokenizer(part, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (states * mask).sum(1) / mask.sum(1)
        found.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.concatenate(found)


def titled(passage: Passage) -> str:
    """A passage as it is searched: with the short title of its document, which it may never name itself."""
    return f"{passage['document'].partition(':')[0]}: {passage['text']}"


def order(scores: np.ndarray) -> np.ndarray:
    """The places of `scores` from best to worst; equal ones in their order, so that it is the same everywhere."""
    import numpy as np

    return np.argsort(-scores, kind="stable")


def fuse(*rankings: np.ndarray, k: float = FUSION) -> np.ndarray:
    """Several rankings of the same things as one: each gives 1 / (k + rank) to each thing, and the sums decide.

    >>> import numpy as np
    >>> fuse(np.array([2, 0, 1]), np.array([2, 1, 0])).tolist()
    [2, 0, 1]

    Source: Cormack, Clarke and Buettcher 2009, https://doi.org/10.1145/1571941.1572114.
    """
    import numpy as np

    scores = np.zeros(len(rankings[0]))
    for ranking in rankings:
        scores[ranking] += 1 / (k + 1 + np.arange(len(ranking)))
    return order(scores)


class Search:
    """Passages (`id`, `document`, `text`), ready to be asked. Making one embeds them all."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        if not passages:
            raise LabError("There is nothing to search in: give at least one passage.")
        self.passages = list(passages)
        texts = [titled(passage) for passage in self.passages]
        self.vectors = embed(texts)
        self._bm25 = bm25s.BM25()
        self._bm25.index(self._tokens(texts), show_progress=False)

    def meaning(self, question: str) -> np.ndarray:
        """For each passage how alike it is: the cosine, -1 to 1."""
        return self.vectors @ embed([question])[0]

    def words(self, question: str) -> np.ndarray:
        """For each passage its BM25: rare words that it shares with the question, 0 where there are none."""
        import numpy as np

        (tokens,) = self._tokens([question])
        return self._bm25.get_scores(tokens) if tokens else np.zeros(len(self.passages))

    def ranking(self, question: str, how: str = "both") -> np.ndarray:
        """The places of all passages from best to worst, by one of `WAYS`. LabError for another, or for no question."""
        if how not in WAYS:
            raise LabError(f"There is no search by {how!r}: choose {', '.join(WAYS)}.")
        if not question.strip():
            raise LabError("There is no question: write at least one word.")
        if how == "both":
            return fuse(self.ranking(question, "meaning"), self.ranking(question, "words"))
        return order(self.meaning(question) if how == "meaning" else self.words(question))

    def nearest(self, question: str, k: int = 5, how: str = "both") -> pandas.DataFrame:
        """The `k` best passages and why: id, document, text, cosine, bm25, and the words that they share."""
        import pandas

        places = self.ranking(question, how)[:k]
        cosine, bm25 = self.meaning(question), self.words(question)
        asked = set(self._tokens([question], "en")[0])
        rows = []
        for place in places:
            passage = self.passages[place]
            shared = sorted(asked & set(self._tokens([titled(passage)], "en")[0]))
            rows.append(
                {
                    "id": passage["id"],
                    "cosine": float(cosine[place]),
                    "bm25": float(bm25[place]),
                    "shared": " ".join(shared),
                    "document": passage["document"],
                    "text": passage["text"],
                }
            )
        return pandas.DataFrame(rows, index=pandas.RangeIndex(1, len(rows) + 1, name="rank"))

    @staticmethod
    def _tokens(texts: list[str], stopwords: str | None = None) -> list[list[str]]:
        """The words of each text. BM25 gives "the" and "of" next to nothing by itself; as reasons they are left out."""
        import bm25s

        return bm25s.tokenize(texts, stopwords=stopwords, return_ids=False, show_progress=False)


@functools.cache
def course_search() -> Search:
    """The course's own documents, ready to be asked."""
    return Search(teaching_data.load("documents", "passages"))


def plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(middle, axes)` of the plane on which the vectors differ most; `(vectors - middle) @ axes` are places on it.

    The two first principal components, (n, 384) to (384,) and (384, 2). Signs are fixed: a map is never mirrored.
    """
    import numpy as np

    middle = vectors.mean(0)
    axes = np.linalg.svd(vectors - middle, full_matrices=False)[2][:2].T
    return middle, axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])


@dataclass(frozen=True)
class Share:
    """`found` of `total`, with the 95 % interval of the share."""

    found: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.found / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's."""
        return wilson(self.found, self.total)

    def __repr__(self) -> str:
        low, high = self.interval
        return f"{self.found} of {self.total}: {self.share:.2f} (95 % interval {low:.2f} to {high:.2f})"


def ranks(search: Search, questions: Sequence[dict[str, str]], how: str = "both") -> list[int]:
    """For each question the rank of its `passage`, from 1."""
    places = {passage["id"]: place for place, passage in enumerate(search.passages)}
    return [search.ranking(row["question"], how).tolist().index(places[row["passage"]]) + 1 for row in questions]


def recall(found: Sequence[int], k: int) -> Share:
    """Of how many questions the passage is among the first `k`, by `ranks`.

    >>> recall([1, 7, 3], 5)
    2 of 3: 0.67 (95 % interval 0.21 to 0.94)
    """
    if not found or k < 1:
        raise LabError("recall wants at least one rank, and a k of 1 or more.")
    return Share(sum(rank <= k for rank in found), len(found))


def mrr(found: Sequence[int]) -> tuple[float, float, float]:
    """The mean of 1 / rank, and its 95 % interval (the normal one, of the mean).

    >>> [round(value, 2) for value in mrr([1, 2, 4, 1])]
    [0.69, 0.32, 1.0]
    """
    if not found:
        raise LabError("mrr wants at least one rank.")
    values = [1 / rank for rank in found]
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    half = 1.96 * math.sqrt(spread / len(values))
    return mean, max(0.0, mean - half), min(1.0, mean + half)
