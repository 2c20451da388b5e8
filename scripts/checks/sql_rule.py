"""Does every word in the text of a statement come from us? It must not know what the statements do.

Ours is: a literal; a constant in capitals; a dialect's word from `statements`; whatever is put together from such, in
local names, in loops over literals, in a private function's results, or handed to a private function by every caller.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

DIALECT: Final = re.compile(r"_sql$|^for_(?:update|deletion)$")
_SQL: Final = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b|\b(?:FROM|SET|VALUES|WHERE)\s", re.MULTILINE)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def built_from_values(tree: ast.Module) -> Iterator[int]:
    """Give the line of every f-string that is a statement and holds a value."""
    module = _Module(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and _is_sql(node) and not module.ours(node, module.around(node)):
            yield node.lineno


def _is_sql(text: ast.JoinedStr) -> bool:
    words = "".join(str(part.value) for part in text.values if isinstance(part, ast.Constant))
    return len(_SQL.findall(words)) >= 2


def last_name(node: ast.AST) -> str:
    """Return the last name of a dotted one, or nothing."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
        self.owner: dict[ast.AST, Function] = {}
        for function in self.functions.values():
            for node in ast.walk(function):
                self.owner[node] = function  # an inner function comes later in the walk and wins
        self.calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self._asked: set[tuple[str, str]] = set()

    def around(self, node: ast.AST) -> Function | None:
        """Return the function that a node stands in."""
        return self.owner.get(node)

    def ours(self, node: ast.AST, function: Function | None) -> bool:
        """Say whether nothing in an expression comes from outside."""
        match node:
            case ast.Constant():
                return True
            case ast.FormattedValue(value=value) | ast.Starred(value=value):
                return self.ours(value, function)
            case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
                return all(self.ours(part, function) for part in parts)
            case ast.IfExp(body=body, orelse=orelse):
                return self.ours(body, function) and self.ours(orelse, function)
            case ast.BinOp(left=left, op=ast.Mult()):
                return self.ours(left, function)
            case ast.BinOp(left=left, right=right):
                return self.ours(left, function) and self.ours(right, function)
            case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
                return self.ours(element, function)
            case ast.Call():
                return self._call(node, function)
            case ast.Name() | ast.Attribute():
                name = last_name(node)
                return name.strip("_").isupper() or (isinstance(node, ast.Name) and self._local(name, function))
        return False

    def _call(self, node: ast.Call, function: Function | None) -> bool:
        given = [*node.args, *(word.value for word in node.keywords)]
        name = last_name(node.func)
        if isinstance(node.func, ast.Attribute):
            if last_name(node.func.value) == "statements":
                return bool(DIALECT.search(name))
            if name in {"join", "format"} and self.ours(node.func.value, function):
                return all(self.ours(value, function) for value in given)
        if isinstance(node.func, ast.Name) and name in {"int", "len"}:
            return True
        called = self.functions.get(name)
        if called is None or not name.startswith("_"):
            return False
        if not self._begin(name, "return"):
            return True
        returned = [part.value for part in ast.walk(called) if isinstance(part, ast.Return) and part.value]
        # Of a pair, the text is the first and its parameter the second; only the text can be interpolated.
        texts = [value.elts[0] if isinstance(value, ast.Tuple) else value for value in returned]
        answer = bool(texts) and all(self.ours(text, called) for text in texts)
        self._asked.discard((name, "return"))
        return answer

    def _local(self, name: str, function: Function | None) -> bool:
        if not self._begin(function.name if function else "", name):
            return True  # asked for while it is being answered: a name that is built up in a loop
        scope: ast.AST = function or self.tree
        bound = [value for target, value in _bindings(scope) if target == name]
        if function is not None and name in _parameters(function):
            bound += [ast.Constant(0)] if _is_number(function, name) else self._handed(function, name)
        answer = bool(bound) and all(self.ours(value, function) for value in bound if value is not _UNKNOWN)
        self._asked.discard((function.name if function else "", name))
        return answer and _UNKNOWN not in bound

    def _handed(self, function: Function, name: str) -> list[ast.AST]:
        """Return what all callers of a private function give for a parameter, as constants where it is ours."""
        if not function.name.startswith("_"):
            return [_UNKNOWN]
        names = [found for found in _parameters(function) if found not in {"self", "cls"}]
        found: list[ast.AST] = []
        for call in self.calls:
            if last_name(call.func) != function.name:
                continue
            by_word = {word.arg: word.value for word in call.keywords}
            only_by_word = name in {found.arg for found in function.args.kwonlyargs}
            place = len(call.args) if only_by_word else names.index(name)
            value = by_word.get(name) or (call.args[place] if place < len(call.args) else ast.Constant(""))
            found.append(ast.Constant("") if self.ours(value, self.around(call)) else _UNKNOWN)
        return found or [_UNKNOWN]

    def _begin(self, owner: str, name: str) -> bool:
        fresh = (owner, name) not in self._asked
        self._asked.add((owner, name))
        return fresh


_UNKNOWN: Final = ast.Pass()


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    return [found.arg for found in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _is_number(function: Function, name: str) -> bool:
    """Say whether a parameter is declared a whole number: that is no statement, and mypy holds the callers to it."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return any(found.arg == name and last_name(found.annotation or found) == "int" for found in arguments)


def _bindings(scope: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Give every name that a scope binds, with the expression it is bound to."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _unpacked(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value:
            yield from _unpacked(node.target, node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            yield from _unpacked(node.target, node.iter)


def _unpacked(target: ast.AST, value: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple):
        pairs = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
        for place, part in enumerate(target.elts):
            yield from _unpacked(part, value.elts[place] if pairs and isinstance(value, ast.Tuple) else value)
