"""The course's widgets. Each is one call that ends a cell, with the plain function that it wraps beside it."""

from labkit.widgets.api_playground import api_playground
from labkit.widgets.arena import arena
from labkit.widgets.break_even import break_even
from labkit.widgets.chat import chat
from labkit.widgets.hub_search import hub_search
from labkit.widgets.licence_explorer import licence_explorer
from labkit.widgets.lora_explorer import lora_explorer
from labkit.widgets.memory_planner import memory_planner
from labkit.widgets.quantization_explorer import quantization_explorer
from labkit.widgets.router_view import router_view
from labkit.widgets.sampling_playground import sampling_playground
from labkit.widgets.token_explorer import token_explorer

__all__ = [
    "api_playground",
    "arena",
    "break_even",
    "chat",
    "hub_search",
    "licence_explorer",
    "lora_explorer",
    "memory_planner",
    "quantization_explorer",
    "router_view",
    "sampling_playground",
    "token_explorer",
]
