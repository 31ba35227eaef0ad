"""Writes the note-to-JSON data beside this file, byte for byte the same each time: `python assets/data/notes/make.py`.

A note is a template with a name, an amount and a day filled in. The splits share no first name, no family name, no
amount and no day; the split `template` also has sentences that no other split has. Needs nothing but Python.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

SEED = 20261123
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
LONG_MONTHS, SHORT_MONTHS = {1, 3, 5, 7, 8, 10, 12}, {4, 6, 9, 11}
CURRENCIES = ("euros", "dollars", "pounds")
# How many notes a split has, and which share of the names, the amounts and the days is its own.
SIZES = {"train": 240, "validation": 60, "test": 200, "template": 100}
SHARES = {"train": 0.45, "validation": 0.1, "test": 0.3, "template": 0.15}


def listed(text: str, at: str | None = None) -> list[str]:
    """The parts of a text between spaces, or between `at`: lists read better without quotes."""
    return [part for line in text.strip().splitlines() for part in line.split(at)]


FIRST_NAMES = listed("""
Adam Agnes Ahmed Alan Alice Amina Amy Andrea Anna Anton Arthur Ben Bella Boris Bruno Carla Carlos Cecilia Chris
Clara Daniel David Diana Diego Elena Elias Emil Emma Erik Eva Fatima Felix Fiona Frank Gloria Grace Greta Hanna
Harry Helen Henry Hugo Ian Ida Ines Irene Isaac Ivan Jack Jacob Jane Jasmine Jonas Josef Julia Kamal Karen Karl
Kevin Laura Lena Leo Leon Lily Linda Lisa Louis Lucas Lucy Luis Maja Marco Maria Mark Martin Max Maya Mia Miguel
Mila Mona Nadia Nina Noah Nora Olga Oliver Omar Oscar Paul Paula Pedro Peter Petra Rachel Ravi Rita Robert Rosa Ruth
Salma Sam Samir Sara Simon Sofia Stefan Susan Tara Theo Thomas Tina Tom Vera Victor Wanda Yara Yusuf Zoe
""")
FAMILY_NAMES = listed("""
Adler Ahlberg Alvarez Anders Baker Barros Becker Bell Bennett Berg Blanco Brandt Brooks Brown Carter Castro Clark
Cohen Cole Costa Cruz Dahl Davis Diaz Doyle Duarte Duval Ellis Evans Farah Fischer Flores Ford Foster Franco Garcia
Gibson Gomez Grant Gray Green Haddad Hall Hansen Harris Hassan Hayes Hill Hoffman Holm Hughes Hunt Jensen Jones
Kaplan Keller Kelly Khan King Klein Kumar Lang Larsen Lee Lewis Lind Lopez Lund Marino Martinez Mason Mendez Meyer
Miller Moore Morales Moreno Morgan Murphy Nash Nelson Novak Olsen Ortiz Owen Park Patel Perez Perry Quinn Ramos Reed
Reyes Rivera Rogers Romero Ross Rossi Russo Santos Schmidt Scott Shah Silva Singh Sousa Stein Stone Tanaka Taylor
Torres Turner Vargas Vega Vogel Wagner Walker Ward Weber West White Wilson Winter Wolf Wood Wright Young Zimmer
""")
THINGS = listed(
    """
a bicycle|a blue lamp|a camera|a chair|a coat|a cooking class|a desk|a drum|a garden table|a guitar|a kettle|a ladder
a mirror|a printer|a rug|a sewing machine|a telescope|a tent|a used piano|a violin|an old radio|new curtains|new tyres
piano lessons|the boat trip|the broken window|the cake|the flowers|the heating|the hotel room|the museum visit
the new keyboard|the taxi|the tickets|the train ride|two paintings
""",
    "|",
)

# Easy: name, amount and day in the order of the answer. Medium: in another order. Hard: with a number that is neither.
TEMPLATES = {
    "E1": "{name} paid {amount} {currency} on {date} for {thing}.",
    "E2": "Received from {name}: {amount} {currency}, {date}, {thing}.",
    "E3": "{name} owes us {amount} {currency} since {date}.",
    "E4": "Invoice to {name}, {amount} {currency}, due {date}.",
    "M1": "On {date} we sent {amount} {currency} to {name} for {thing}.",
    "M2": "{amount} {currency} for {thing}, paid by {name} on {date}.",
    "M3": "{date}: {name} spent {amount} {currency} on {thing}.",
    "M4": "Please remind {name} that on {date} the {amount} {currency} for {thing} are due.",
    "H1": "Order {other} from {date}: {name} bought {thing} for {amount} {currency}.",
    "H2": "{name} in room {other} was charged {amount} {currency} on {date}.",
    "H3": "After {other} phone calls {name} sent back {amount} {currency} on {date}.",
    "H4": "For {thing} {name} gave {amount} {currency} on {date}, table {other}.",
}
HELD_OUT = {
    "X1": "We lent {name} {amount} {currency} on {date} for {thing}.",
    "X2": "Refund of {amount} {currency} to {name}, booked on {date}.",
    "X3": "Ticket {other}: {name} transferred {amount} {currency} on {date}.",
}
LEVELS = {"E": "easy", "M": "medium", "H": "hard"}
LEVEL_OF_HELD_OUT = {"X1": "easy", "X2": "medium", "X3": "hard"}


def amounts(draw: random.Random) -> list[str]:
    """500 different amounts: two in three whole, the rest with cents; none ends in a zero that JSON would not keep."""
    whole = draw.sample(range(3, 1000), 340)
    cents = draw.sample([n for n in range(300, 30_000) if n % 10], 160)
    return [str(n) for n in whole] + [f"{n // 100}.{n % 100:02d}" for n in cents]


def days() -> list[str]:
    """Every day of a year but the 29th of February, as `14 March`."""
    found = []
    for month, name in enumerate(MONTHS, start=1):
        last = 31 if month in LONG_MONTHS else 30 if month in SHORT_MONTHS else 28
        found += [f"{day} {name}" for day in range(1, last + 1)]
    return found


def in_digits(date: str) -> str:
    """`14 March` as the answers want it: `14/3`."""
    day, month = date.split()
    return f"{day}/{MONTHS.index(month) + 1}"


def pools(values: list[str], draw: random.Random) -> dict[str, list[str]]:
    """The values dealt out: each belongs to one split only."""
    values, found, start = draw.sample(values, len(values)), {}, 0
    for split, share in SHARES.items():
        end = len(values) if split == "template" else start + round(share * len(values))
        found[split], start = values[start:end], end
    return found


def turns(values: list[str], draw: random.Random):
    """The values in random order, again and again, so that each is used about equally often."""
    while True:
        yield from draw.sample(values, len(values))


def rows(split: str, own: dict[str, list[str]], draw: random.Random) -> list[dict[str, str]]:
    """The notes of one split, each with its answer as JSON: name and amount as the note has them, the day as `14/3`."""
    templates = HELD_OUT if split == "template" else TEMPLATES
    names, found = {key: turns(values, draw) for key, values in own.items()}, []
    template, thing = turns(list(templates), draw), turns(THINGS, draw)
    for number in range(SIZES[split]):
        which = next(template)
        name = f"{next(names['first'])} {next(names['family'])}"
        amount, date = next(names["amount"]), next(names["date"])
        values = {"name": name, "amount": amount, "date": date, "thing": next(thing)}
        other = draw.choice([n for n in range(2, 60) if str(n) not in (amount, date.split()[0])])
        note = templates[which].format(**values, other=other, currency=draw.choice(CURRENCIES))
        level = LEVELS.get(which[0]) or LEVEL_OF_HELD_OUT[which]
        answer = f'{{"name": "{name}", "amount": {amount}, "date": "{in_digits(date)}"}}'
        found.append({"id": f"{split}-{number:03d}", "template": which, "level": level, "note": note, "answer": answer})
    return found


def main(folder: Path) -> None:
    """Write one file a split."""
    draw = random.Random(SEED)
    values = {"first": FIRST_NAMES, "family": FAMILY_NAMES, "amount": amounts(draw), "date": days()}
    dealt = {kind: pools(items, draw) for kind, items in values.items()}
    for split in SIZES:
        lines = rows(split, {kind: pool[split] for kind, pool in dealt.items()}, draw)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{split}.jsonl").write_bytes(text.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
