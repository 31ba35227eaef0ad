"""The base of Colab's own errors."""


class Error(Exception):
    """What huggingface_hub catches when a secret cannot be had."""
