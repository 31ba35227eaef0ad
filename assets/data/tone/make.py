"""Writes the tone preferences beside this file, byte for byte the same each time: `python assets/data/tone/make.py`.

A customer writes about a thing and what is wrong with it. Both answers offer the same help; the chosen one is polite,
the rejected one is curt. `test` has things that `train` has not. Needs nothing but Python.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

SEED = 20261124
SIZES = {"train": 140, "test": 40}

THINGS = {
    "train": ("kettle", "lamp", "desk", "jacket", "camera", "bicycle", "printer", "suitcase", "blender", "radio"),
    "test": ("tent", "keyboard", "mirror", "guitar"),
}
# What is wrong: what the customer says, how a polite answer takes it up, how a curt one does, and the help.
PROBLEMS = {
    "late": (
        ("My {thing} was to come on Monday and is not here yet.", "I have waited for my {thing} for two weeks now."),
        ("I am sorry that you had to wait for your {thing}", "Please excuse the delay of your {thing}"),
        ("Delays happen.", "It will come when it comes."),
        (("It will be with you tomorrow", "Tomorrow."), ("I have sent it again today by express", "Sent again.")),
    ),
    "broken": (
        ("The {thing} that you sent me is broken.", "I opened the box and the {thing} was in pieces."),
        ("I am sorry that your {thing} arrived damaged", "That must have been a disappointment, and I apologize"),
        ("Not our fault.", "It was fine when it left."),
        (("We will send you a new one today", "You get a new one."), ("You will have your money back", "Refunded.")),
    ),
    "wrong": (
        ("I ordered a blue {thing} and got a red one.", "This is not the {thing} that I ordered."),
        ("I apologize for the mix-up with your {thing}", "You are right, we sent you the wrong {thing}"),
        ("Check your order next time.", "Mistakes happen."),
        (
            ("The right one is on its way", "Right one is sent."),
            ("We will pick the wrong one up for free", "Collected."),
        ),
    ),
    "charged": (
        ("You charged me twice for one {thing}.", "There is a second charge for the {thing} on my card."),
        ("Thank you for telling us about the second charge", "I am sorry about the double charge for your {thing}"),
        ("Ask your bank.", "The system did that."),
        (
            ("The money will be back within three days", "Three days."),
            ("I have cancelled the second charge", "Cancelled."),
        ),
    ),
    "question": (
        ("Can I return the {thing} if I do not like it?", "Do you take a {thing} back after a week?"),
        ("Of course, and thank you for asking first", "Yes, you are welcome to return your {thing}"),
        ("Read the rules.", "It is on the website."),
        (
            ("You have thirty days, and the way back is free", "Thirty days."),
            ("A label is in the box", "Use the label."),
        ),
    ),
    "part": (
        ("A screw of my {thing} is missing.", "The {thing} came without its manual."),
        ("I am sorry that something was missing with your {thing}", "Thank you for letting us know"),
        ("Nobody else complained.", "Look again."),
        (("We will post it to you today", "Posted."), ("You can have it at any of our shops", "Get it in a shop.")),
    ),
}
GREETINGS = ("Hello, and thank you for your message.", "Thank you for writing to us.", "Good morning!")
CLOSINGS = ("Please write again if we can help.", "Have a good day!", "Thank you for your patience.")


def pairs(split: str, draw: random.Random) -> list[dict[str, str]]:
    """The pairs of one split. No two of them share both the message and an answer."""
    found, seen = [], set()
    kinds = list(PROBLEMS)
    while len(found) < SIZES[split]:
        kind, thing = kinds[len(found) % len(kinds)], draw.choice(THINGS[split])
        says, polite, curt, help_ = PROBLEMS[kind]
        kindly, shortly = draw.choice(help_)
        prompt = draw.choice(says).format(thing=thing)
        warm = f"{draw.choice(GREETINGS)} {draw.choice(polite).format(thing=thing)}. {kindly}. {draw.choice(CLOSINGS)}"
        cold = f"{draw.choice(curt)} {shortly}"
        if (prompt, kindly) in seen:
            continue
        seen.add((prompt, kindly))
        number = f"{split}-{len(found):03d}"
        found.append({"id": number, "kind": kind, "prompt": prompt, "chosen": warm, "rejected": cold})
    return found


def main(folder: Path) -> None:
    """Write one file a split."""
    draw = random.Random(SEED)
    for split in SIZES:
        text = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs(split, draw))
        (folder / f"{split}.jsonl").write_bytes(text.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
