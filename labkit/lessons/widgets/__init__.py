"""The course's widgets. Each is one call that ends a cell, with the plain function that it wraps beside it."""

from labkit.lessons.widgets.api_playground import api_playground
from labkit.lessons.widgets.arena import arena
from labkit.lessons.widgets.break_even import break_even
from labkit.lessons.widgets.chat import chat
from labkit.lessons.widgets.hub_search import hub_search
from labkit.lessons.widgets.licence_explorer import licence_explorer
from labkit.lessons.widgets.lora_explorer import lora_explorer
from labkit.lessons.widgets.memory_planner import memory_planner
from labkit.lessons.widgets.quantization_explorer import quantization_explorer
from labkit.lessons.widgets.router_view import router_view
from labkit.lessons.widgets.sampling_playground import sampling_playground
from labkit.lessons.widgets.search_map import search_map
from labkit.lessons.widgets.token_explorer import token_explorer

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
    "search_map",
    "token_explorer",
]
