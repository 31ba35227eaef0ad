"""Evaluation: what a change to a model costs, by protocols that are the same for every method and engine.

`losses` how well a text is predicted, and how far two models' predictions are apart · `scores` answers, and a score
with its uncertainty · `tasks` what gets done · `llama` the same out of llama.cpp · `figures` size, memory and speed on
this machine · `results` tables that a class can put together.
"""

from labkit.models.evaluation.figures import llama_figures, llama_table
from labkit.models.evaluation.llama import llama_losses
from labkit.models.evaluation.losses import (
    Distance,
    Perplexity,
    course_text,
    distributions,
    from_losses,
    kl_divergence,
    perplexity,
    token_losses,
)
from labkit.models.evaluation.results import chart, merge, pareto_front, save, stored
from labkit.models.evaluation.scores import Score, answers, wilson
from labkit.models.evaluation.tasks import agreement, continuations, exact_match, json_validity

__all__ = [
    "Distance",
    "Perplexity",
    "Score",
    "agreement",
    "answers",
    "chart",
    "continuations",
    "course_text",
    "distributions",
    "exact_match",
    "from_losses",
    "json_validity",
    "kl_divergence",
    "llama_figures",
    "llama_losses",
    "llama_table",
    "merge",
    "pareto_front",
    "perplexity",
    "save",
    "stored",
    "token_losses",
    "wilson",
]
