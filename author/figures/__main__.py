"""Writes the drawings: `python -m author.figures`."""

from author.figures import all_drawings
from labkit.base import assets, cache

for name, drawing in all_drawings().items():
    cache.write_atomically(assets.path("figures") / f"{name}.svg", drawing.svg())
    print(f"assets/figures/{name}.svg")
