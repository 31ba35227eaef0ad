"""The lessons of the course, and what each needs of the world. Knows nothing of what they teach.

A lesson begins here, with one line. What it tells a learner (title, minutes, memory) stands in its notebook.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a lesson needs. In the local world it gets the course's own Hub or gateway; the others start nothing."""

    hub: bool = False
    gateway: bool = False
    embedder: bool = False  # the second model, which turns texts into vectors
    bigger: bool = False  # its cells run with a bigger model, and say how: it is offered where a GPU has the room
    asks: frozenset[str] = frozenset()  # who outside this machine is asked, in the local world too: "host:port"


LESSONS = {
    "00": Needs(asks=frozenset({"huggingface.co:443"})),  # it shows the doctor, who looks whether the Hub answers
    "01": Needs(),
    "02": Needs(),
    "03": Needs(hub=True),
    "04": Needs(gateway=True),
    "05": Needs(bigger=True),
    "06": Needs(),
    "07": Needs(bigger=True),
    "08": Needs(gateway=True, embedder=True),
    "09": Needs(hub=True),
}
