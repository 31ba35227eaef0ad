"""`labkit site`: the course as web pages, built from the executed notebooks without internet.

Nothing is run again: the pages show the outputs that the notebooks store. Knows where the pages go; `sources` knows
what they are made from, `live` which widgets are alive on them, `glossary` which words are linked.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import webbrowser
from pathlib import Path

from labkit.base import assets, cache, processes
from labkit.base.errors import LabError

MARK = ".labkit-site"  # says that a folder was made here, and may be made anew


def site(argv: list[str]) -> int:
    """`site`: build the pages into a folder that works from a disk, a USB stick or any web server."""
    parser = argparse.ArgumentParser(
        prog="labkit site", description="Build the course's website from the stored outputs, without internet."
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: site, or site-teacher, in the course")
    parser.add_argument("--teacher", action="store_true", help="with the answers to all exercises: not for publishing")
    parser.add_argument("--live", action="store_true", help="with the live pages: the model in the reader's browser")
    parser.add_argument(
        "--serve", nargs="?", const=0, type=int, metavar="PORT", help="build, then serve the site on this machine"
    )
    parser.add_argument("--links", action="store_true", help="list the links to the web, to be checked by hand")
    parser.add_argument("--open", action="store_true", help="open the first page in the browser")
    options = parser.parse_args(argv)
    root = assets.checkout()
    if root is None:
        raise LabError("The website is built in a checkout of the course: clone its repository and run this there.")
    if missing := [name for name in ("sphinx", "myst_nb", "furo") if importlib.util.find_spec(name) is None]:
        raise LabError(f"This needs {', '.join(missing)}: run `python lab.py site`, or install the extra site.")
    out = (options.out or root / ("site-teacher" if options.teacher else "site")).resolve()
    began = time.monotonic()
    count = build(out, teacher=options.teacher, live=options.live)
    first = out / "index.html"
    print(f"{count} pages in {time.monotonic() - began:.0f} s: {first}")
    if options.teacher:
        print("This build holds the answers: keep it from learners.")
    if options.links:
        for address, page in sorted(links_to_the_web(out).items()):
            print(f"{address}  ({page})")
    if options.serve is not None:
        from author.site import served

        return served.serve(out, options.serve, show=options.open)
    if options.open:
        webbrowser.open(first.as_uri())
    return 0


def build(out: Path, *, teacher: bool = False, live: bool = False) -> int:
    """Make the website in `out` and return the number of its pages. LabError when a page has a fault; `out` stays then.

    `out` is replaced as a whole, and only when it is empty or was made here.
    """
    from author.site import browser, sources

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).exists()):
        raise LabError(f"{out} holds something else than a website of this course: choose an empty folder.")
    try:
        with tempfile.TemporaryDirectory(prefix="labkit-site-") as scratch, cache.replacing(out) as fresh:
            source = Path(scratch) / "source"
            sources.gather(source, teacher=teacher, live_pages=live)
            _sphinx(source, fresh, Path(scratch) / "doctrees")
            if live:
                browser.write(fresh / "live")
            (fresh / MARK).touch()
    except OSError as problem:
        raise LabError(f"{out} cannot be written ({problem.strerror}): make room or choose another folder.") from None
    return sum(1 for _ in out.rglob("*.html"))


def links_to_the_web(out: Path) -> dict[str, str]:
    """The addresses outside the website that its pages link to, each with the first page that does.

    The build does not check them: it would fail whenever somebody else's page is gone.
    """
    found: dict[str, str] = {}
    for page in sorted(out.rglob("*.html")):
        for address in re.findall(r'<a\b[^>]*\shref="(https?://[^"]+)"', page.read_text(encoding="utf-8")):
            found.setdefault(html.unescape(address), page.relative_to(out).as_posix())
    return found


def _sphinx(source: Path, target: Path, doctrees: Path) -> None:
    """Every warning is an error: a dead link, an unknown term, a docstring that cannot be read."""
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--doctree-dir", str(doctrees), "--quiet"]
    command += ["--fail-on-warning", "--keep-going", "--jobs", "auto", str(source), str(target)]
    environment = processes.child_environment(PYTHONUTF8="1")
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    if run.returncode:
        said = (run.stderr or run.stdout).strip().replace(str(source), "SOURCE")
        raise LabError(f"The website was not built; mend these and build again:\n{said}")
