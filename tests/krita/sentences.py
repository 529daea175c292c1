"""What the backend says to people, found in its code: the sentences of its errors and notes, as templates, and names.

A sentence with values in it is a template such as ``"The file {0} does not exist."``; texts that stand for such a value
(``"its header is not readable"``) are found too.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PLACES = (
    "protocol/checks.py", "protocol/request.py", "backend/engine", "backend/models", "backend/server",
    "backend/worker.py",
)
COMMAND_LINE = {"credential.py", "app.py", "__init__.py"}
"""Of the server: what keeps it from starting is said where it is started."""
RAISING = {"fail", "LayerDiffusionError"}
UNSEEN = "BAD_MESSAGE"
"""Its sentences are for those who write another client; the docker of the same release never meets them."""
SENTENCE = re.compile(r"[A-Z{\"].* .*\.|an? [^{]+", re.S)
"""A text that is said wherever it stands: advice, notes on models, what a file is."""
FRAGMENT = re.compile(r"[a-z]+ing|(the|The|a|an|An|it|its|has|is|no|none) .*", re.S)
"""A text that stands for a value, as opposed to the name of something."""


def said() -> set[str]:
    """Every template, and every text that stands for a value of one."""
    paths = [path for place in PLACES for path in (sorted((PROJECT / place).rglob("*.py")) or [PROJECT / place])]
    trees = [
        ast.parse(path.read_text("utf-8"))
        for path in paths
        if path.parent.name != "server" or path.name not in COMMAND_LINE
    ]
    values, functions = _meanings(trees)
    return {text for tree in trees for text in Reader(tree, values, functions).all()}


def _meanings(trees: list[ast.Module]) -> tuple[dict[str, list[ast.expr]], dict[str, list[ast.FunctionDef]]]:
    """Name → what is assigned to it, or given for it where it is a function's parameter; name → functions."""
    values, functions = defaultdict(list), defaultdict(list)

    def assigned(target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            values[target.id].append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=True):
                assigned(one, its)

    nodes = [node for tree in trees for node in ast.walk(tree)]
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            functions[node.name].append(node)
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                assigned(target, node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for function in functions[node.func.id]:
                for parameter, value in zip(function.args.args, node.args, strict=False):
                    values[parameter.arg].append(value)
    return values, functions


class Reader:
    """Reads the texts of one file."""

    def __init__(self, tree: ast.Module, values: dict, functions: dict) -> None:
        self._tree, self._values, self._functions = tree, values, functions
        self._seen: set[tuple[str, bool]] = set()

    def all(self) -> Iterator[str]:
        """The texts of errors, names of models, and sentences wherever they stand but for docstrings."""
        unseen = {id(node.value) for node in ast.walk(self._tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISING and node.args:
                if getattr(node.args[0], "attr", "") == UNSEEN:
                    unseen |= {id(inner) for inner in ast.walk(node)}
                    continue
                for value in (*node.args[1:], *(keyword.value for keyword in node.keywords)):
                    yield from self._reachable(value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ModelInfo":
                for name in ast.walk(node.args[1]):
                    if isinstance(name, ast.Constant) and isinstance(name.value, str):
                        yield name.value
            elif isinstance(node, ast.JoinedStr) and id(node) not in unseen:
                unseen |= {id(inner) for inner in ast.walk(node)}
                if SENTENCE.fullmatch(_template(node)):
                    yield from self._reachable(node)
            elif isinstance(node, ast.Constant) and id(node) not in unseen and isinstance(node.value, str):
                if SENTENCE.fullmatch(node.value):
                    yield node.value

    def _reachable(self, node: ast.expr) -> Iterator[str]:
        """The texts that an expression may have; each name on the way is looked up once, however many lead to it."""
        self._seen.clear()
        yield from self._texts(node)

    def _texts(self, node: ast.expr, is_value: bool = False) -> Iterator[str]:
        match node:
            case ast.Constant(str(text)):
                if FRAGMENT.fullmatch(text) if is_value else " " in text:
                    yield text
            case ast.JoinedStr(parts):
                if not is_value or FRAGMENT.fullmatch(_template(node)):
                    yield _template(node)
                for part in parts:
                    if isinstance(part, ast.FormattedValue):
                        yield from self._texts(part.value, is_value=True)
            case ast.IfExp(_, one, other):
                yield from self._texts(one, is_value)
                yield from self._texts(other, is_value)
            case ast.BoolOp(_, values):
                for value in values:
                    yield from self._texts(value, is_value)
            case ast.Subscript(ast.JoinedStr() as text):
                yield from self._texts(text, is_value)
            case ast.Name(name) if (name, is_value) not in self._seen:
                self._seen.add((name, is_value))
                for value in self._values.get(name, ()):
                    yield from self._texts(value, is_value)
            case ast.Call(ast.Name(name)) if name in self._functions and (f"{name}()", is_value) not in self._seen:
                self._seen.add((f"{name}()", is_value))
                for inner in (node for function in self._functions[name] for node in ast.walk(function)):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from self._texts(inner.value, is_value)


def _template(text: ast.JoinedStr) -> str:
    number, parts = 0, []
    for part in text.values:
        if isinstance(part, ast.Constant):
            parts.append(part.value)
        else:
            parts.append(f"{{{number}}}")
            number += 1
    return "".join(parts)
