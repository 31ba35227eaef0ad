"""Evaluation: what a change to a model costs, by protocols that are the same for every method and engine.

`losses` how well a text is predicted, and how far two models' predictions are apart · `scores` answers, and a score
with its uncertainty · `tasks` what gets done · `llama` the same out of llama.cpp · `figures` size, memory and speed on
this machine · `results` tables that a class can put together.
"""

from labkit.base import contents

__getattr__, __dir__, __all__ = contents.of(
    __name__,
    {
        "losses": (
            *("Distance", "Perplexity", "course_text", "distributions", "from_losses", "kl_divergence", "perplexity"),
            "token_losses",
        ),
        "scores": ("Score", "answers", "wilson"),
        "tasks": ("agreement", "continuations", "exact_match", "json_validity"),
        "figures": ("llama_figures", "llama_table"),
        "llama": ("llama_losses",),
        "results": ("chart", "merge", "pareto_front", "save", "stored"),
    },
)
