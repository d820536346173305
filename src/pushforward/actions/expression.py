"""Expressions: the part of GitHub's language that is needed outside of a job: values, contexts, == != ! && ||."""

import re
from collections.abc import Mapping
from typing import Any

from pushforward.errors import PushforwardError

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)"
    r"|(?P<operator>==|!=|&&|\|\||!|\(|\)))"
)
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_DEPTH = 50


class ExpressionError(PushforwardError):
    """An expression that cannot be evaluated here. It is refused: to ignore it would change what it guards."""


def evaluate(template: str, contexts: Mapping[str, Any]) -> Any:
    """The value of `template`: of its only `${{ … }}`, or the text with every `${{ … }}` replaced.

    `contexts` maps a context's name to its content. A name that a context lacks is refused, below
    `github.event` it is null, as on GitHub. Raises `ExpressionError`.
    """
    alone = _EXPRESSION.fullmatch(template.strip())
    if alone and "${{" not in alone[1]:
        return _Parser(alone[1], contexts).value()
    return _EXPRESSION.sub(lambda found: text(_Parser(found[1], contexts).value()), template)


def text(value: Any) -> str:
    """`value` as GitHub writes it into a string: null is empty, true and false are lower case."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (Mapping, list)):
        return "Object" if isinstance(value, Mapping) else "Array"
    return str(value)


def truth(value: Any) -> bool:
    """Whether `value` counts as true: everything but false, 0, the empty string and null."""
    return value not in (None, False, 0, "")


class _Parser:
    def __init__(self, source: str, contexts: Mapping[str, Any]) -> None:
        self.source = source
        self.contexts = contexts
        self.tokens = self._split()
        self.position = 0
        self.depth = 0

    def value(self) -> Any:
        result = self._either()
        if self.position < len(self.tokens):
            raise self._refusal(f"unexpected {self.tokens[self.position][1]!r}")
        return result

    def _split(self) -> list[tuple[str, str]]:
        tokens, at = [], 0
        source = self.source.rstrip()
        while at < len(source):
            found = _TOKEN.match(source, at)
            if not found or found.lastgroup is None:
                raise self._refusal(f"cannot read {source[at:].strip()[:20]!r}")
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

    def _either(self) -> Any:
        left = self._both()
        while self._take("||"):
            right = self._both()
            left = left if truth(left) else right
        return left

    def _both(self) -> Any:
        left = self._comparison()
        while self._take("&&"):
            right = self._comparison()
            left = right if truth(left) else left
        return left

    def _comparison(self) -> Any:
        left = self._term()
        while operator := self._take("==", "!="):
            left = _equal(left, self._term()) == (operator == "==")
        return left

    def _term(self) -> Any:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self._refusal("nested too deep")
        try:
            if self._take("!"):
                return not truth(self._term())
            if self._take("("):
                inner = self._either()
                if not self._take(")"):
                    raise self._refusal("a ) is missing")
                return inner
            return self._operand()
        finally:
            self.depth -= 1

    def _operand(self) -> Any:
        if self.position >= len(self.tokens):
            raise self._refusal("it ends too early")
        kind, token = self.tokens[self.position]
        self.position += 1
        if kind == "string":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return float(token)
        if kind == "operator":
            raise self._refusal(f"unexpected {token!r}")
        if token in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token]
        return self._lookup(token)

    def _lookup(self, dotted: str) -> Any:
        names = dotted.split(".")
        value: Any = self.contexts
        for depth, name in enumerate(names):
            if isinstance(value, Mapping) and name in value:
                value = value[name]
            elif depth > 1 and names[:2] == ["github", "event"]:
                return None
            else:
                raise self._refusal(f"{'.'.join(names[: depth + 1])} is not known outside of a job here")
        return value

    def _refusal(self, why: str) -> ExpressionError:
        return ExpressionError(f"cannot evaluate ${{{{{self.source}}}}}: {why}")


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    if type(left) is type(right):
        return bool(left == right)
    return _number(left) == _number(right)


def _number(value: Any) -> float:
    """The number that GitHub's comparison takes for a value of another type; NaN equals nothing."""
    if value is None:
        return 0.0
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return float("nan")
