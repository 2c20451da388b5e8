"""Rules of the house that no tool knows: sizes, names of rooms, what no file may name. It must not know any feature."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scripts.checks.files import ROOT, name_of, own_files
from scripts.checks.outcome import Failed

LONGEST_FILE: Final = 300
LONGEST_FUNCTION: Final = 40
# A longer one says why, in words that can be searched for.
REASON: Final = re.compile(r"[Ll]ong because \w")
ATTICS: Final = frozenset({"utils", "helpers", "common", "core", "manager"})
_CODE: Final = (".py", ".js", ".css", ".html", ".lua", ".sh")
# Spelled in pieces, so that this file does not name what it forbids.
MACHINE_PATH: Final = re.compile(r"(?<![\w.}/-])/(?:wo[r]k|ro[o]t|ho[m]e/\w+|Us[e]rs/\w+|t[m]p/[a-z]{2,})/")
REGISTRY: Final = re.compile(
    r"\b(?:py[p]i\.org|pythonhost[e]d\.org|npm[j]s\.(?:org|com)|de[b]\.debian\.org)\b|--(?:extra-)?index-ur[l]"
)


def check() -> None:
    """Hold every rule of this file.

    Raises:
        Failed: with every place that does not.
    """
    faults = [*_sizes(), *_names(), *_places(own_files())]
    if faults:
        raise Failed("\n".join(faults))


def _sizes() -> Iterator[str]:
    for path in own_files(*_CODE):
        if "/migrations/" in name_of(path):
            continue
        text = path.read_text(encoding="utf-8")
        count = text.count("\n")
        if count > LONGEST_FILE and not REASON.search("\n".join(text.splitlines()[:40])):
            yield f"{name_of(path)}: {count} lines; split it, or say near its top: 'Long because …'"
        if path.suffix == ".py":
            yield from long_functions(name_of(path), text)


def long_functions(name: str, text: str) -> Iterator[str]:
    """Name every function of more than 40 lines that gives no reason."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first, last = node.lineno, node.end_lineno or node.lineno
        documented = node.body[0]
        if isinstance(documented, ast.Expr) and isinstance(documented.value, ast.Constant):
            first = (documented.end_lineno or first) - 1  # the docstring is no code
        before = "\n".join(lines[max(0, node.lineno - 4) : last])
        if last - first + 1 > LONGEST_FUNCTION and not REASON.search(before):
            yield f"{name}:{node.lineno}: {node.name} has {last - first + 1} lines"


def _names() -> Iterator[str]:
    for path in own_files(".py"):
        for attic in ATTICS & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}:
            yield f"{name_of(path)}: '{attic}' says nothing about what is in it"


def _places(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from named_places(name_of(path), text)


def named_places(name: str, text: str) -> Iterator[str]:
    """Name every line that speaks of one machine's folder or of a package registry."""
    for number, line in enumerate(text.splitlines(), start=1):
        if MACHINE_PATH.search(line):
            yield f"{name}:{number}: names a folder of one machine"
        if REGISTRY.search(line):
            yield f"{name}:{number}: names a package registry"
