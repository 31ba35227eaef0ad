"""Secrets of the notebook's owner. The variable COLAB_SECRETS holds them as JSON; null stands for one without leave.

Each question is noted in the file that COLAB_ASKED names: on Colab it opens a window before the learner.
"""

import json
import os
from pathlib import Path

from google.colab import errors


class NotebookAccessError(Exception):
    """There is such a secret, and this notebook may not read it."""

    def __init__(self, key):
        super().__init__(f"Notebook does not have access to secret {key}")


class SecretNotFoundError(errors.Error):
    """There is no such secret."""

    def __init__(self, key):
        super().__init__(f"Secret {key} does not exist.")


def get(key):
    """The secret's value."""
    if asked := os.environ.get("COLAB_ASKED"):
        with Path(asked).open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")
    secrets = json.loads(os.environ.get("COLAB_SECRETS", "{}"))
    if key not in secrets:
        raise SecretNotFoundError(key)
    if secrets[key] is None:
        raise NotebookAccessError(key)
    return secrets[key]
