"""Expressions compiled to closures. The grammar, loosest first:

    or · and · not · comparison, in · + - · * / // % · unary - + · ** · name, literal, call, index, method, ( )

Nothing of Python's is reachable: names are looked up in a mapping, methods are a closed list on texts, and the number
of parts and the depth are limited, so that hostile text costs no more than its length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import InvalidValueError, NotFoundError
from .expression_tokens import Kind, Token, syntax_error
from .expression_values import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    MAX_TEXT,
    METHODS,
    Namespace,
    calculate,
    call_function,
    call_method,
    compare,
    contains,
    item,
    lookup,
    number,
    truth,
    unknown,
)
from .units import Unit, conversion, parse_unit, product

MAX_PARTS = 200
MAX_DEPTH = 30

Run: TypeAlias = Callable[[Namespace], Any]
UnitOf: TypeAlias = Callable[[str], str | Unit | None]

_BINDING = {"or": 1, "and": 2, "in": 4, "not": 4, **dict.fromkeys(COMPARISONS, 4)}
_BINDING |= {"+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6, "**": 8}
_NOT, _SIGN = 3, 7
_KEEPS_UNIT = frozenset({"abs", "min", "max", "round", "floor", "ceil"})


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled piece: how to get its value, the value's unit if known, whether it is made of literals only, and its
    value if it is a single one."""

    run: Run
    unit: Unit | None = None
    literal: bool = False
    value: Any = ...

    @property
    def null(self) -> bool:
        """Whether it is the literal `null`."""
        return self.value is None


class Parser:
    """Parses one expression's tokens (precedence climbing); `names` are what it refers to."""

    def __init__(self, text: str, tokens: list[Token], unit_of: UnitOf | None = None) -> None:
        self.names: list[str] = []
        self._text = text
        self._tokens = tokens
        self._next = 0
        self._unit_of = unit_of
        self._parts = 0
        self._depth = 0

    def parse(self) -> Run:
        """The whole expression; raises InvalidValueError with the column of the first mistake."""
        return self.parse_part().run

    def parse_part(self) -> Part:
        """`parse` with the unit of the result."""
        part = self._expression(0)
        if self._token.kind is not Kind.END:
            raise self._error(f"expected an operator, found {self._found()}")
        return part

    # Tokens ------------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _is(self, symbol: str) -> bool:
        return self._token.kind is Kind.OPERATOR and self._token.value == symbol

    def _accept(self, symbol: str) -> bool:
        if self._is(symbol):
            self._next += 1
            return True
        return False

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._error(f"expected {symbol!r}, found {self._found()}")

    def _found(self) -> str:
        return "the end" if self._token.kind is Kind.END else repr(self._token.value)

    def _error(self, what: str, token: Token | None = None) -> InvalidValueError:
        return syntax_error(self._text, (token or self._token).position, what)

    # Operators ---------------------------------------------------------------------------------------------------

    def _expression(self, loosest: int) -> Part:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        left = self._prefix()
        while self._token.kind is Kind.OPERATOR and _BINDING.get(self._token.value, 0) > loosest:
            left = self._infix(left)
        self._depth -= 1
        return left

    def _infix(self, left: Part) -> Part:
        token = self._take()
        symbol = token.value
        if symbol in COMPARISONS:
            return self._comparison(left, token)
        if symbol == "not":
            self._expect("in")
            inside = self._contains(left)
            return self._part(_negation(inside.run))
        if symbol == "in":
            return self._contains(left)
        if symbol == "**":
            return self._arithmetic(left, token, self._expression(_BINDING["**"] - 1))
        right = self._expression(_BINDING[symbol])
        if symbol in ARITHMETIC:
            return self._arithmetic(left, token, right)
        return self._part((_conjunction if symbol == "and" else _disjunction)(left.run, right.run))

    def _prefix(self) -> Part:
        token = self._token
        if self._accept("not"):
            return self._part(_negation(self._expression(_NOT).run))
        if self._accept("-") or self._accept("+"):
            operand = self._expression(_SIGN)
            run = operand.run if token.value == "+" else _minus(operand.run)
            return self._part(run, operand.unit, operand.literal)
        return self._postfix()

    def _comparison(self, left: Part, token: Token) -> Part:
        """`a < b`, and `a < b < c` as both together."""
        right = self._expression(_BINDING["<"])
        result = self._part(self._compared(left, token, right))
        while self._token.kind is Kind.OPERATOR and self._token.value in COMPARISONS:
            token, left = self._take(), right
            right = self._expression(_BINDING["<"])
            result = self._part(_conjunction(result.run, self._compared(left, token, right)))
        return result

    def _compared(self, left: Part, token: Token, right: Part) -> Run:
        symbol = token.value
        if symbol in ("==", "!=") and (left.null or right.null):
            run, expected = (right if left.null else left).run, symbol == "=="
            return lambda namespace: unknown(run(namespace)) is expected
        a, b = left.run, self._same_unit(left, token, right)
        return lambda namespace: compare(symbol, a(namespace), b(namespace))

    def _contains(self, left: Part) -> Part:
        a, b = left.run, self._expression(_BINDING["in"]).run
        return self._part(lambda namespace: contains(a(namespace), b(namespace)))

    def _arithmetic(self, left: Part, token: Token, right: Part) -> Part:
        symbol = token.value
        unit: Unit | None = None
        a, b = left.run, right.run
        if symbol in "+-":
            unit = left.unit or right.unit
            if left.unit and right.unit and left.unit != right.unit and left.unit.dimension == "temperature":
                raise self._error("temperatures in different units cannot be added or subtracted", token)
            b = self._same_unit(left, token, right)
        elif symbol == "*" and (left.unit is None or right.unit is None):
            unit = left.unit if right.literal else right.unit if left.literal else None
        elif symbol == "/" and right.unit is None and right.literal:
            unit = left.unit
        elif symbol in "*/" and left.unit is not None and right.unit is not None:
            unit = product(left.unit, right.unit, 1 if symbol == "*" else -1)
        literal = left.literal and right.literal
        return self._part(lambda namespace: calculate(symbol, a(namespace), b(namespace)), unit, literal)

    def _same_unit(self, left: Part, token: Token, right: Part) -> Run:
        """The right side in the unit of the left, where both are known; a side without a unit is taken as it is."""
        if left.unit is None or right.unit is None or left.unit == right.unit:
            return right.run
        try:
            affine = conversion(right.unit, left.unit)
        except InvalidValueError as error:
            raise self._error(str(error), token) from None
        run = right.run

        def converted(namespace: Namespace) -> Any:
            value = run(namespace)
            return None if unknown(value) else affine(number(value))

        return converted

    # Operands ----------------------------------------------------------------------------------------------------

    def _part(self, run: Run, unit: Unit | None = None, literal: bool = False, value: Any = ...) -> Part:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise self._error(f"more than {MAX_PARTS} parts")
        return Part(run, unit, literal, value)

    def _postfix(self) -> Part:
        part = self._operand()
        while True:
            if self._accept("["):
                index = self._expression(0)
                self._expect("]")
                part = self._part(_item(part.run, index))
            elif self._is("."):
                part = self._method(part)
            else:
                return part

    def _operand(self) -> Part:
        token = self._take()
        if token.kind is Kind.NAME:
            return self._function(token) if self._is("(") else self._name(token)
        if token.kind in (Kind.NUMBER, Kind.TEXT, Kind.CONSTANT):
            value = token.value
            return self._part(lambda _: value, token.unit, literal=True, value=value)
        if token.kind is Kind.OPERATOR and token.value == "(":
            part = self._expression(0)
            self._expect(")")
            return part
        if token.kind is Kind.OPERATOR and token.value == "[":
            return self._list()
        self._next -= 1
        raise self._error(f"expected a value, found {self._found()}")

    def _list(self) -> Part:
        runs = [part.run for part in self._until("]")]
        return self._part(lambda namespace: [run(namespace) for run in runs])

    def _until(self, closing: str) -> list[Part]:
        parts: list[Part] = []
        if self._accept(closing):
            return parts
        parts.append(self._expression(0))
        while self._accept(","):
            parts.append(self._expression(0))
        self._expect(closing)
        return parts

    def _name(self, token: Token) -> Part:
        """`conveyor_1.speed`, up to the dot before a method."""
        words = [str(token.value)]
        while self._is(".") and self._tokens[self._next + 1].kind is Kind.NAME and not self._method_follows():
            self._next += 1
            words.append(str(self._take().value))
        name = ".".join(words)
        if name not in self.names:
            self.names.append(name)
        unit = self._unit_of(name) if self._unit_of else None
        return self._part(_reference(name), parse_unit(unit) if isinstance(unit, str) else unit)

    def _method_follows(self) -> bool:
        after = self._tokens[self._next + 2]
        return after.kind is Kind.OPERATOR and after.value == "("

    def _method(self, value: Part) -> Part:
        self._expect(".")
        token = self._take()
        if token.kind is not Kind.NAME or not self._is("("):
            raise self._error("expected a method of texts", token)
        return self._part(_method(str(token.value), value.run, self._arguments(token, METHODS, "method of texts")))

    def _function(self, token: Token) -> Part:
        name, parts = str(token.value), self._arguments(token, FUNCTIONS, "function")
        arguments = [part.run for part in parts]
        shared = name in _KEEPS_UNIT and len({part.unit for part in parts}) == 1
        unit = parts[0].unit if shared else None
        return self._part(lambda namespace: call_function(name, [one(namespace) for one in arguments]), unit)

    def _arguments(self, token: Token, known: Mapping[str, tuple[Any, int, int]], what: str) -> list[Part]:
        if token.value not in known:
            raise self._error(f"{token.value!r} is no {what}; there are {', '.join(sorted(known))}", token)
        self._expect("(")
        parts = self._until(")")
        _, least, most = known[token.value]
        if not least <= len(parts) <= most:
            expected = str(least) if least == most else f"{least} to {most}"
            raise self._error(f"{token.value} takes {expected} arguments, found {len(parts)}", token)
        return parts


def _reference(name: str) -> Run:
    if "." in name:
        return lambda namespace: lookup(namespace, name)

    def plain(namespace: Namespace) -> Any:
        try:
            return namespace[name]
        except KeyError:
            raise NotFoundError(f"{name!r} is not known here") from None

    return plain


def _item(value: Run, index: Part) -> Run:
    position, at = index.value, index.run
    if type(position) is not int:
        return lambda namespace: item(value(namespace), at(namespace))

    def pick(namespace: Namespace) -> Any:
        found = value(namespace)
        # The usual case, per message: a part of a topic.
        if type(found) is list and len(found) > position >= 0:
            return found[position]
        return item(found, position)

    return pick


def _method(name: str, value: Run, arguments: list[Part]) -> Run:
    operation, runs = METHODS[name][0], [part.run for part in arguments]
    if not all(isinstance(part.value, str) for part in arguments):
        return lambda namespace: call_method(name, value(namespace), [run(namespace) for run in runs])
    texts = [part.value for part in arguments]

    def call(namespace: Namespace) -> Any:
        plain = value(namespace)
        if type(plain) is str and len(plain) <= MAX_TEXT:
            return operation(plain, *texts)
        return call_method(name, plain, texts)

    return call


def _minus(value: Run) -> Run:
    def negative(namespace: Namespace) -> Any:
        plain = value(namespace)
        return None if unknown(plain) else -number(plain)

    return negative


def _negation(value: Run) -> Run:
    def negated(namespace: Namespace) -> bool | None:
        plain = truth(value(namespace))
        return None if plain is None else not plain

    return negated


def _conjunction(left: Run, right: Run) -> Run:
    def both(namespace: Namespace) -> bool | None:
        a = truth(left(namespace))
        if a is False:
            return False
        b = truth(right(namespace))
        return b if a or b is False else None

    return both


def _disjunction(left: Run, right: Run) -> Run:
    def either(namespace: Namespace) -> bool | None:
        a = truth(left(namespace))
        if a:
            return True
        b = truth(right(namespace))
        return b if a is False or b else None

    return either
