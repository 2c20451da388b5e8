"""Every link from one document of ours to another leads somewhere. It must not know what the documents say."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scripts.checks.files import ROOT, name_of, own_files
from scripts.checks.outcome import Failed

_LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
DECISIONS: Final = ROOT / "docs" / "adr" / "README.md"


def check() -> None:
    """Follow every relative link, and look for every decision in the list of decisions.

    Raises:
        Failed: with those that lead nowhere.
    """
    faults = [fault for path in own_files(".md") for fault in broken(path, path.read_text(encoding="utf-8"))]
    faults += unlisted(
        DECISIONS.read_text(encoding="utf-8"), [path.name for path in DECISIONS.parent.glob("[0-9]*.md")]
    )
    if faults:
        raise Failed("\n".join(faults))


def broken(path: Path, text: str) -> Iterator[str]:
    """Name the links of a document that lead to no file, or to no heading of it."""
    for target in _LINK.findall(_FENCE.sub("", text)):
        file, _, heading = target.partition("#")
        if ":" in target or (not file and not heading):
            continue
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (found.is_dir() and not any(found.iterdir())):
            yield f"{name_of(path)}: {target} leads nowhere"
        elif heading and found.suffix == ".md" and heading not in _headings(found.read_text(encoding="utf-8")):
            yield f"{name_of(path)}: {target}: no such heading"


def unlisted(listing: str, names: Iterable[str]) -> Iterator[str]:
    """Name the decisions that the list of decisions does not link to."""
    linked = set(_LINK.findall(listing))
    for name in sorted(set(names) - linked):
        yield f"{name_of(DECISIONS)}: {name} is not listed"


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+\s+(.+?)\s*$", _FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
