"""Who may be quoted as the maker: the hosts and the owners of repositories that speak for each.

A fact of the grade "maker" has a source that begins with one of these. What is listed here was looked at by a person.
"""

from __future__ import annotations

HUB, GITHUB, ARXIV = "https://huggingface.co/", "https://github.com/", "https://arxiv.org/abs/"
_META = (
    GITHUB + "meta-llama/",
    GITHUB + "facebookresearch/",
    HUB + "meta-llama/",
    "https://www.llama.com/",
    ARXIV + "2307.09288",
    ARXIV + "2407.21783",
)
_MISTRAL = (
    *(GITHUB + "mistralai/", HUB + "mistralai/", "https://docs.mistral.ai/", "https://mistral.ai/"),
    *("https://help.mistral.ai/", ARXIV + "2310.06825"),
)
_GOOGLE = (GITHUB + "google-deepmind/", HUB + "google/", HUB + "collections/google/", "https://ai.google.dev/")
_HUGGING_FACE = (  # not the library transformers: it says nothing of a model
    *(GITHUB + f"huggingface/{name}/" for name in ("smollm", "alignment-handbook", "hub-docs", "blog")),
    *(HUB + "HuggingFaceTB/", HUB + "HuggingFaceH4/", HUB + "docs/", ARXIV + "2502.02737"),
)
_OPENAI = (
    *(GITHUB + "openai/", HUB + "openai/", "https://developers.openai.com/", "https://help.openai.com/"),
    *(ARXIV + "2303.08774",),
)
_AI2 = (GITHUB + "allenai/", HUB + "allenai/", ARXIV + "2501.00656", HUB + "papers/2501.00656")
_LICENCES = GITHUB + "OpenSourceOrg/licenses/"
_CC = GITHUB + "creativecommons/"
MAKERS: dict[str, tuple[str, ...]] = {
    "Meta": _META,
    "Mistral AI": _MISTRAL,
    "Google DeepMind": _GOOGLE,
    "Google Cloud": ("https://docs.cloud.google.com/",),
    "Alibaba Cloud (Qwen)": (GITHUB + "QwenLM/", HUB + "Qwen/", ARXIV + "2505.09388"),
    "Hugging Face": _HUGGING_FACE,
    "Hugging Face H4": _HUGGING_FACE,
    "Allen Institute for AI": _AI2,
    "OpenAI": _OPENAI,
    "DeepSeek": (GITHUB + "deepseek-ai/", HUB + "deepseek-ai/"),
    "Z.ai": (GITHUB + "zai-org/", HUB + "zai-org/"),
    "IBM": (GITHUB + "ibm-granite/", HUB + "ibm-granite/", "https://ollama.com/ibm/", "https://www.ibm.com/"),
    "Liquid AI": (HUB + "LiquidAI/", "https://docs.liquid.ai/", "https://www.liquid.ai/"),
    "Microsoft": (HUB + "microsoft/", "https://www.huggingface.co/microsoft/"),
    "TinyLlama": (HUB + "TinyLlama/", GITHUB + "jzhang38/TinyLlama/"),
    "Anthropic": ("https://www.anthropic.com/",),
    "Cerebras": ("https://inference-docs.cerebras.ai/",),
    "Amazon": ("https://docs.aws.amazon.com/",),
    "EleutherAI": (GITHUB + "EleutherAI/", HUB + "EleutherAI/", ARXIV + "2304.01373"),
    "BigScience": (HUB + "bigscience/", HUB + "spaces/bigscience/", ARXIV + "2303.03915"),
    # Of a licence: whoever wrote it, or keeps its text.
    "Open Source Initiative": ("https://opensource.org/", _LICENCES),
    "apache-2.0": (GITHUB + "apache/", "https://www.apache.org/"),
    "mit": (_LICENCES,),
    "cc-by-4.0": (_CC,),
    "cc-by-nc-4.0": (_CC,),
    "gemma": _GOOGLE,
    "lfm1.0": ("https://docs.liquid.ai/", "https://www.liquid.ai/"),
    **dict.fromkeys(("llama2", "llama3", "llama3.1", "llama3.2", "llama4"), _META),
    "mistral-research": _MISTRAL,
    "bigscience-bloom-rail-1.0": (HUB + "bigscience/", HUB + "spaces/bigscience/"),
}
# Whose word counts for each model of openness.toml.
OF_MODEL = {
    **{"gpt-4": "OpenAI", "claude-sonnet-4.6": "Anthropic", "gemini-2.5-pro": "Google DeepMind"},
    **{"llama-2-7b": "Meta", "llama-3.1-8b": "Meta", "mistral-7b": "Mistral AI", "mixtral-8x7b": "Mistral AI"},
    **{"gemma-3": "Google DeepMind", "qwen3": "Alibaba Cloud (Qwen)", "smollm2-135m-instruct": "Hugging Face"},
    **{"olmo-2-7b": "Allen Institute for AI", "pythia": "EleutherAI", "deepseek-r1": "DeepSeek"},
    **{"phi-4": "Microsoft", "bloom": "BigScience"},
}
# And for each statement of facts.toml, by how its name begins.
_OF_STATEMENT = {
    **{"mistral-7b-": "Mistral AI", "openai-": "OpenAI", "gemini-": "Google Cloud", "claude-": "Amazon"},
    **{"gpt-4-gap": "Meta", "llama-2-": "Meta", "open-models-": "Hugging Face", "gemma-4-": "Google DeepMind"},
    **{"hub-": "Hugging Face", "open-closed-gap": "Arena"},
}
# What the head of a page on the Hub shows: it is the repository's own on every page of it, be that a discussion or a
# change that somebody proposed.
_HEAD = {"maker", "repo_id", "licence", "gated", "chat", "task"}
# Discussions on the Hub in which the maker itself answered.
_ANSWERS = {HUB + "mistralai/Mistral-7B-v0.1/discussions/8", HUB + "google/gemma-3-1b-it/discussions/35"}


# Who sells: a vendor's own pages count for its prices and days.
OF_PROVIDER = {"openai": "OpenAI", "google": "Google DeepMind", "anthropic": "Anthropic", "cerebras": "Cerebras"}


def is_makers(who: str, source: str, key: str) -> bool:
    """Whether a source speaks for `who` about a fact: its maker's own page or repository, and no stranger's change."""
    strangers = "refs%2Fpr" in source or ("/discussions/" in source and source.startswith(HUB))
    return source.startswith(MAKERS.get(who, ())) and (not strangers or key in _HEAD or source in _ANSWERS)


def of_statement(name: str) -> str:
    """Whose word counts for a statement of facts.toml."""
    return next(who for start, who in _OF_STATEMENT.items() if name.startswith(start))
