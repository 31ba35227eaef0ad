"""Where the course's files are: figures, teaching data, the model catalogue, the notebooks.

In a checkout they lie beside the package; in a wheel (all that Colab has) they lie inside it. Only this module knows.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent


def path(*parts: str) -> Path:
    """The path of an asset, for example `path("catalogue")`. FileNotFoundError if the course does not ship it."""
    return _find("assets", "_assets", parts)


def notebook_dir() -> Path:
    """The folder of the lessons as they are shipped (learners work on copies)."""
    return _find("notebooks", "_notebooks", ())


def checkout() -> Path | None:
    """The root of the git checkout that this package runs from, or None when it was installed from a wheel."""
    return CHECKOUT if (CHECKOUT / "pyproject.toml").exists() and (CHECKOUT / "assets").is_dir() else None


def root() -> Path:
    """The folder that holds `work/` and `assets/`: the checkout, or for an installed wheel the current folder."""
    return checkout() or Path.cwd()


def _find(beside: str, inside: str, parts: tuple[str, ...]) -> Path:
    for root in (PACKAGE / inside, CHECKOUT / beside):
        if root.is_dir():
            found = root.joinpath(*parts)
            if not found.exists():
                raise FileNotFoundError(f"the course ships no {'/'.join((beside, *parts))}")
            return found
    raise FileNotFoundError(f"the {beside} folder is missing: install labkit again, or run from a complete checkout")
