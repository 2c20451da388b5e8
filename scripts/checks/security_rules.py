"""Patterns that have broken login services before, looked for in the syntax tree. It must not know any feature.

A line that is right all the same says why: `# safe: <reason>`.
"""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final

from scripts.checks.files import name_of, own_files
from scripts.checks.outcome import Failed
from scripts.checks.sql_rule import built_from_values, last_name

SAFE: Final = re.compile(r"#\s*safe: \w")
_SECRET: Final = re.compile(r"(?:^|_)(?:secret|signature|digest|hmac|mac|otp|code|token|proof)s?$", re.IGNORECASE)
_COUNTER: Final = re.compile(r"^(?:attempts|failures|tries|sends|wrong_codes)$")
_PRIVATE: Final = re.compile(r"^(?:otp|code|token|access|refresh|secret|password|phone_number|e164|raw)$")
_LOG_METHODS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
Rule = Callable[[ast.AST], Iterator[tuple[int, str]]]


def check() -> None:
    """Look at every module of the application.

    Raises:
        Failed: with every place where a pattern stands without a reason.
    """
    faults = []
    for path in own_files(".py"):
        name = name_of(path)
        if (
            name.startswith(("backend/apps/", "backend/salon_api/"))
            and "/tests/" not in name
            and "/migrations/" not in name
        ):
            faults += list(faults_of(name, path.read_text(encoding="utf-8")))
    if faults:
        raise Failed("\n".join(faults))


def faults_of(name: str, text: str) -> Iterator[str]:
    """Name each line of `text` that matches a pattern and gives no reason."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        for rule in RULES:
            for number, fault in rule(node):
                if not SAFE.search(lines[number - 1]):
                    yield f"{name}:{number}: {fault}"


def _compared_secret(node: ast.AST) -> Iterator[tuple[int, str]]:
    """`==` on a secret takes longer the more of it is right."""
    if not isinstance(node, ast.Compare) or not all(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
        return
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        return
    if any(_SECRET.search(last_name(side)) and not last_name(side).isupper() for side in sides):
        yield node.lineno, "compare secrets with hmac.compare_digest"


def _counted_in_python(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Read, add, write: two at once count one."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute) and _COUNTER.match(node.target.attr):
        yield node.lineno, "count in one conditional UPDATE"


def _forwarded_header(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant) and node.value in {"HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "X-Real-IP"}:
        yield node.lineno, "only the client's address module may read a forwarding header"


def _guessable(node: ast.AST) -> Iterator[tuple[int, str]]:
    """`random` can be predicted from a few of its numbers."""
    if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
        yield node.lineno, "use secrets, not random"
    if isinstance(node, ast.ImportFrom) and node.module == "random":
        yield node.lineno, "use secrets, not random"


def _logged_secret(node: ast.AST) -> Iterator[tuple[int, str]]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LOG_METHODS):
        return
    if "log" not in last_name(node.func.value).lower():
        return
    given = [argument.value for argument in node.keywords] + list(node.args)
    for value in (found for argument in given for found in ast.walk(argument)):
        if _PRIVATE.match(last_name(value)):
            yield node.lineno, f"`{last_name(value)}` must not reach a log"


def _plain_transaction(node: ast.AST) -> Iterator[tuple[int, str]]:
    """A transaction inside another one commits nothing."""
    if isinstance(node, ast.Call) and last_name(node.func) == "atomic":
        durable = {word.arg: word.value for word in node.keywords}.get("durable")
        if not (isinstance(durable, ast.Constant) and durable.value is True):
            yield node.lineno, "every transaction is atomic(durable=True)"


def _unverified_tls(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
        if node.arg == "verify" and node.value.value is False:
            yield node.value.lineno, "certificates are always verified"
        if node.arg == "allow_redirects" and node.value.value is True:
            yield node.value.lineno, "a gateway's redirect is not followed: it would carry the code elsewhere"


def _built_sql(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Module):
        for number in built_from_values(node):
            yield number, "SQL built from a value; pass it as a parameter"


RULES: Final[tuple[Rule, ...]] = (
    _compared_secret,
    _counted_in_python,
    _forwarded_header,
    _guessable,
    _logged_secret,
    _plain_transaction,
    _unverified_tls,
    _built_sql,
)
