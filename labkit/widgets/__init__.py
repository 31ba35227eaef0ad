"""The course's widgets. Each is one call that ends a cell, with the plain function that it wraps beside it."""

from labkit.widgets.chat import chat
from labkit.widgets.sampling_playground import sampling_playground
from labkit.widgets.token_explorer import token_explorer

__all__ = ["chat", "sampling_playground", "token_explorer"]
