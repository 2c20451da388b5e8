"""The list of audit events in the documents is the whole list, and every event in it can happen."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from apps.accounts.services.session_types import Event

APPS = Path(__file__).resolve().parents[2]
PAGE = APPS.parents[1] / "docs" / "audit-events.md"
# It passes on what sessions and keys report, and they report members of one enum.
PASSES_ON = "session_events.py"


def calls_of(tree: ast.AST, *endings: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-len(endings) :] == list(endings):
            yield node


def events_of(path: Path) -> set[str]:
    """Return the events that a file records: named in the call, or handed to a function of the file that records."""
    tree, found = ast.parse(path.read_text()), set()
    wrappers = {
        function.name: {argument.arg for argument in function.args.args}
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and any(calls_of(function, "audit", "record"))
    }
    for call in calls_of(tree, "audit", "record"):
        name = call.args[0] if call.args else None
        if isinstance(name, ast.Name):
            wrapper = next((one for one, names in wrappers.items() if name.id in names), None)
            assert wrapper, f"{path.name}:{call.lineno}: the event's name belongs in the call"
            found |= {_text(one.args[0], path) for one in calls_of(tree, wrapper)}
        else:
            found.add(_text(name, path))
    return found


def _text(name: ast.AST | None, path: Path) -> str:
    plain = isinstance(name, ast.Constant) and isinstance(name.value, str)
    assert name is not None, path.name
    assert plain, f"{path.name}:{getattr(name, 'lineno', 0)}: the event's name belongs in the call"
    return str(ast.literal_eval(name))


def events_in_the_code() -> set[str]:
    found = {event.value for event in Event}
    for path in APPS.rglob("*.py"):
        if "tests" not in path.parts and path.name != PASSES_ON:
            found |= events_of(path)
    return found


def test_the_page_lists_exactly_the_events_of_the_code() -> None:
    listed = re.findall(r"^\| `([a-z_.]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == events_in_the_code()
