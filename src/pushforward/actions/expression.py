"""GitHub's expressions: read into a tree, asked what they name, and evaluated where all of that is known. Pure.

The language is that of GitHub's document "Evaluate expressions in workflows and actions".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pushforward.actions import functions
from pushforward.actions.functions import equal, less, text, truth
from pushforward.errors import PushforwardError

__all__ = [
    "Call",
    "ExpressionError",
    "Field",
    "Literal",
    "Name",
    "Node",
    "evaluate",
    "parse",
    "pieces",
    "text",
    "truth",
    "walk",
]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-Infinity\b|[-+]?(?:0x[0-9A-Fa-f]+|0o[0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))"
    r"(?![\w.])|(?P<name>[A-Za-z_][\w-]*)|(?P<operator>==|!=|<=|>=|&&|\|\||[!<>()\[\],.*]))"
)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "NaN": float("nan"), "Infinity": float("inf")}
_NEGATIVE = "-Infinity"
_DEPTH = 50


class ExpressionError(PushforwardError):
    """An expression that cannot be read or evaluated. It is refused: to ignore it would change what it guards."""


@dataclass(frozen=True)
class Literal:
    """A value that is written down."""

    value: Any


@dataclass(frozen=True)
class Name:
    """A context."""

    name: str


@dataclass(frozen=True)
class Field:
    """A property of what `of` is: by name, by index, or every one of them where `key` is None."""

    of: "Node"
    key: "Node | None"


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Operation:
    """An operator and what it stands between; `!` has one operand."""

    operator: str
    operands: tuple["Node", ...]


Node = Literal | Name | Field | Call | Operation


def pieces(template: str) -> Iterator[tuple[str, bool]]:
    """The parts of `template`, and of each whether it is the inside of a `${{ … }}`.

    Raises `ExpressionError` where one has no end; a `}}` in quotes is none.
    """
    at = 0
    while (start := template.find("${{", at)) >= 0:
        if start > at:
            yield template[at:start], False
        quoted, end = False, start + 3
        while end < len(template) and (quoted or not template.startswith("}}", end)):
            quoted ^= template[end] == "'"
            end += 1
        if end >= len(template):
            raise ExpressionError(f"cannot evaluate {template[start : start + 40]}: it has no }}}}")
        yield template[start + 3 : end], True
        at = end + 2
    if at < len(template):
        yield template[at:], False


def evaluate(template: str, contexts: Mapping[str, Any]) -> Any:
    """The value of `template`: of its only `${{ … }}`, or the text with every `${{ … }}` replaced.

    `contexts` maps a context's name to its content. A context that is not among them is refused; a property that one
    lacks is null, as on GitHub. Raises `ExpressionError`.
    """
    parts = list(pieces(template.strip()))
    if len(parts) == 1 and parts[0][1]:
        return _value(parts[0][0], contexts)
    found = pieces(template)
    return "".join(text(_value(part, contexts)) if inside else part for part, inside in found)


def parse(source: str) -> Node:
    """The tree of an expression, without its `${{ }}`. Raises `ExpressionError` where it is not one."""
    return _Parser(source).whole()


def walk(node: Node) -> Iterator[Node]:
    """The node and all that is below it."""
    yield node
    below: tuple[Node | None, ...] = ()
    if isinstance(node, Field):
        below = (node.of, node.key)
    elif isinstance(node, Call):
        below = node.arguments
    elif isinstance(node, Operation):
        below = node.operands
    for one in below:
        if one is not None:
            yield from walk(one)


def _value(source: str, contexts: Mapping[str, Any]) -> Any:
    try:
        return _Evaluation(contexts).of(parse(source))
    except (ValueError, RecursionError) as wrong:
        raise _refusal(source, str(wrong)) from wrong


def _refusal(source: str, why: str) -> ExpressionError:
    return ExpressionError(f"cannot evaluate ${{{{{source}}}}}: {why}")


class _Evaluation:
    """Evaluates a tree; what is wrong is told as a ValueError."""

    def __init__(self, contexts: Mapping[str, Any]) -> None:
        self.contexts = {name.casefold(): value for name, value in contexts.items()}

    def of(self, node: Node) -> Any:
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Name):
            if node.name.casefold() not in self.contexts:
                raise ValueError(f"{node.name} is not known outside of a job here")
            return self.contexts[node.name.casefold()]
        if isinstance(node, Field):
            return self._field(node)
        if isinstance(node, Call):
            return functions.call(node.name, [self.of(one) for one in node.arguments])
        return self._operation(node)

    def _field(self, node: Field) -> Any:
        of = self.of(node.of)
        if node.key is None:
            if isinstance(of, functions.Filtered):
                below = [
                    one.values() if isinstance(one, Mapping) else one for one in of if isinstance(one, (Mapping, list))
                ]
                return functions.Filtered(value for each in below for value in each)
            values = of.values() if isinstance(of, Mapping) else of if isinstance(of, list) else ()
            return functions.Filtered(values)
        key = self.of(node.key)
        if isinstance(of, functions.Filtered):
            return functions.Filtered(
                functions.item(one, key) for one in of if isinstance(one, (Mapping, list)) and functions.has(one, key)
            )
        return functions.item(of, key)

    def _operation(self, node: Operation) -> Any:
        first = self.of(node.operands[0])
        if node.operator == "!":
            return not truth(first)
        if node.operator in ("&&", "||"):
            return self.of(node.operands[1]) if truth(first) == (node.operator == "&&") else first
        second = self.of(node.operands[1])
        if node.operator in ("==", "!="):
            return equal(first, second) == (node.operator == "==")
        if node.operator in ("<", ">="):
            return less(first, second) if node.operator == "<" else less(second, first) or equal(first, second)
        return less(second, first) if node.operator == ">" else less(first, second) or equal(first, second)


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = self._split()
        self.position = 0
        self.depth = 0

    def whole(self) -> Node:
        result = self._chain(0)
        if self.position < len(self.tokens):
            raise _refusal(self.source, f"unexpected {self.tokens[self.position][1]!r}")
        return result

    def _split(self) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        at, source = 0, self.source.rstrip()
        while at < len(source):
            found = _TOKEN.match(source, at)
            if not found or found.lastgroup is None:
                raise _refusal(self.source, f"cannot read {source[at:].strip()[:20]!r}")
            tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        return tokens

    def _take(self, *operators: str) -> str | None:
        if self.position < len(self.tokens):
            kind, token = self.tokens[self.position]
            if kind == "operator" and token in operators:
                self.position += 1
                return token
        return None

    def _need(self, operator: str) -> None:
        if not self._take(operator):
            raise _refusal(self.source, f"a {operator} is missing")

    # from the loosest to the tightest, as GitHub's table of operators has them
    _LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))

    def _chain(self, level: int) -> Node:
        if level == len(self._LEVELS):
            return self._term()
        left = self._chain(level + 1)
        while operator := self._take(*self._LEVELS[level]):
            left = Operation(operator, (left, self._chain(level + 1)))
        return left

    def _term(self) -> Node:
        self.depth += 1
        if self.depth > _DEPTH:
            raise _refusal(self.source, "nested too deep")
        try:
            if self._take("!"):
                return Operation("!", (self._term(),))
            if self._take("("):
                inner = self._chain(0)
                self._need(")")
                return self._fields(inner)
            return self._operand()
        finally:
            self.depth -= 1

    def _operand(self) -> Node:
        if self.position >= len(self.tokens):
            raise _refusal(self.source, "it ends too early")
        kind, token = self.tokens[self.position]
        self.position += 1
        if kind == "string":
            return Literal(token[1:-1].replace("''", "'"))
        if kind == "number":
            return Literal(-_WORDS["Infinity"] if token == _NEGATIVE else functions.number(token))
        if kind == "operator":
            raise _refusal(self.source, f"unexpected {token!r}")
        if token in _WORDS:
            return Literal(_WORDS[token])
        if not self._take("("):
            return self._fields(Name(token))
        arguments: list[Node] = []
        while not self._take(")"):
            if arguments:
                self._need(",")
            arguments.append(self._chain(0))
        return self._fields(Call(token, tuple(arguments)))

    def _fields(self, node: Node) -> Node:
        while operator := self._take(".", "["):
            if self._take("*"):
                node = Field(node, None)
            elif operator == "[":
                node = Field(node, self._chain(0))
            else:
                kind, token = self.tokens[self.position] if self.position < len(self.tokens) else ("", "nothing")
                if kind != "name":
                    raise _refusal(self.source, f"a name is missing before {token!r}")
                self.position += 1
                node = Field(node, Literal(token))
            if operator == "[":
                self._need("]")
        return node
