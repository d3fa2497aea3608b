"""Units of measurement: by common name, symbol, UCUM code or UNECE Recommendation 20 code, and their conversion.

A unit of the table is recognised without loading pint; composed units (`kg/m2.s`) and conversions load it once.
"""

import difflib
import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .errors import InvalidValueError
from .unit_table import TABLE

MAX_UNIT_LENGTH = 64
# Absolute temperatures in kelvin: kelvin = (value + shift) * scale, as exact ratios.
_TEMPERATURES: dict[str, tuple[str, str]] = {
    "kelvin": ("1", "0"),
    "celsius": ("1", "273.15"),
    "rankine": ("5/9", "0"),
    "fahrenheit": ("5/9", "459.67"),
}

# Texts that two conventions read differently: refused, with what to write instead.
_AMBIGUOUS: dict[str, tuple[str, ...]] = {
    "HP": ("hp (horsepower)", "mmH2O (UNECE code HP)"),
    "PS": ("metric_hp (Pferdestärke)", "psi (UNECE code PS)"),
    "Gal": ("gal (gallon)", "m/s2 (for the gal, 0.01 m/s2)"),
}
_ROTATION, _FREQUENCY = "rotational speed", "frequency"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FACTOR = re.compile(r"(?P<base>\[[^\]]+\]|[^\d\s*./^()\[\]-]+)(?:\^|\*\*)?(?P<power>-?\d)?$")
_QUANTITY = re.compile(r"\s*(?P<value>[+-]?(?:\d+(?:[_ ]?\d)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit. `name` is canonical: two texts for one unit give equal units. `dimension` is what it measures."""

    name: str
    symbol: str
    dimension: str
    ucum: str | None = None
    unece: str | None = None
    expression: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Affine:
    """A compiled conversion: `value * scale + offset`; works on numbers and on numpy columns alike."""

    scale: float
    offset: float = 0.0

    @property
    def identity(self) -> bool:
        """True if converting changes nothing."""
        return self.scale == 1.0 and self.offset == 0.0

    def __call__(self, value: float) -> float:
        return value * self.scale + self.offset


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, as written in `150kW`; the unit is None if there was none."""

    value: float
    unit: Unit | None = None

    def to(self, unit: str | Unit) -> float:
        """The value in another unit; raises InvalidValueError if the dimensions differ or there is no unit."""
        if self.unit is None:
            raise InvalidValueError(f"{self.value:g} has no unit to convert from")
        return conversion(self.unit, unit)(self.value)


def _rows() -> Iterator[tuple[Unit, list[str]]]:
    for dimension, block in TABLE.items():
        for line in block.strip().splitlines():
            name, symbol, expression, ucum, unece, names = (field.strip() for field in line.split(";"))
            aliases = [alias.strip() for alias in names.split(",") if alias.strip()]
            yield Unit(name, symbol, dimension, ucum or None, unece or None, expression), aliases


@functools.cache
def _index() -> tuple[dict[str, Unit], dict[str, tuple[Unit, str]]]:
    """Units by exact text (canonical names first, UNECE codes last); by lower-case text, where that is unique, with
    the spelling."""
    exact: dict[str, Unit] = {}
    spelled: list[tuple[str, Unit]] = []
    rows = list(_rows())
    for unit, aliases in rows:
        exact[unit.name] = unit
        spelled += [(text, unit) for text in (unit.name, *aliases)]
    for unit, aliases in rows:
        for text in (unit.ucum, unit.symbol, *aliases):
            if text:
                exact.setdefault(text, unit)
    for unit, _ in rows:
        if unit.unece:
            exact.setdefault(unit.unece, unit)
    folded: dict[str, tuple[Unit, str]] = {}
    twofold: set[str] = set()
    for text, unit in spelled:
        if folded.setdefault(text.lower(), (unit, text))[0] is not unit:
            twofold.add(text.lower())
    return exact, {key: found for key, found in folded.items() if key not in twofold}


def known_units() -> list[Unit]:
    """All units of the table, in its order."""
    return [unit for unit, _ in _rows()]


@functools.lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit:
    """The unit that a text names.

    Tried in this order: the table's exact names, symbols and UCUM codes; UNECE codes; names whatever their case (where
    that is unambiguous: `mW` and `MW` differ); a product of such units (`kg/m2.s`, `W/(m2*K)`).
    Raises InvalidValueError with the nearest known names.
    """
    wanted = " ".join(text.replace("μ", "µ").split())
    if not wanted or len(wanted) > MAX_UNIT_LENGTH:
        raise InvalidValueError(f"{text[:MAX_UNIT_LENGTH]!r} is not a unit")
    if wanted in _AMBIGUOUS:
        raise InvalidValueError(f"unit {text!r} is ambiguous; write {' or '.join(_AMBIGUOUS[wanted])}")
    unit = _lookup(wanted) or _composed(wanted)
    if unit is None:
        raise InvalidValueError(f"{text!r} is not a unit that is known here{_did_you_mean(wanted)}")
    return unit


def _lookup(text: str) -> Unit | None:
    exact, folded = _index()
    unit = exact.get(text) or exact.get(text.translate(_SUPERSCRIPTS))
    if unit is not None or len(text) < 2:
        return unit
    found = folded.get(text.lower()) or folded.get(text.lower().replace("_", " "))
    return None if found is None or _other_prefix(text, found[1]) else found[0]


def _other_prefix(text: str, spelling: str) -> bool:
    """Whether the case of a text makes it mega instead of milli, or the reverse: `MV` is not `mV`, but `Metre` is."""
    differs = text[0] != spelling[0] and text[0] in "mM"
    return differs and spelling != "min" and spelling[1:] in _index()[0]


def _did_you_mean(text: str) -> str:
    exact, folded = _index()
    same = [name for name in exact if name.lower() == text.lower()]
    near = (
        same
        or difflib.get_close_matches(text, exact, 3, 0.7)
        or difflib.get_close_matches(text.lower(), folded, 3, 0.7)
    )
    names = list(dict.fromkeys((exact.get(match) or folded[match][0]).name for match in near))
    return f"; did you mean {' or '.join(repr(name) for name in names)}?" if names else ""


# A product of units -------------------------------------------------------------------------------------------------


def _factors(text: str) -> list[tuple[str, int]] | None:
    """`kg/m2.s` as [("kg", 1), ("m", -2), ("s", 1)], or None; a parenthesis after a slash divides as a whole."""
    plain = text.translate(_SUPERSCRIPTS).replace("·", ".").replace("**", "^").replace("*", ".").replace(" ", ".")
    factors: list[tuple[str, int]] = []
    sign, inside = 1, 0
    for token in re.split(r"([./()])", plain):
        if token == "/":
            sign = -1
        elif token == ".":
            sign = inside or 1
        elif token == "(":
            if inside:
                return None
            inside = sign
        elif token == ")":
            if not inside:
                return None
            inside = 0
        elif token and token != "1":
            match = _FACTOR.match(token)
            if match is None:
                return None
            factors.append((match["base"], sign * int(match["power"] or 1)))
    return factors if factors and not inside else None


def _composed(text: str) -> Unit | None:
    factors = _factors(text)
    if factors is None or factors == [(text, 1)]:
        return None
    known: list[tuple[Unit, int]] = []
    for base, power in factors:
        unit = _lookup(base)
        if unit is None or not unit.expression:
            return None
        known.append((unit, power))
    expression = "*".join(f"({unit.expression})**{power}" for unit, power in known)
    # A name that is a product itself (km/h) cannot take a power; what was written for it can.
    words = [
        base if re.search(r"[./\d]", unit.name) else unit.name
        for (unit, _), (base, _) in zip(known, factors, strict=True)
    ]
    name = ".".join(f"{word}^{power}" if power != 1 else word for word, (_, power) in zip(words, factors, strict=True))
    return Unit(name, text, _dimension(expression, known), None, None, expression)


def _dimension(expression: str, factors: list[tuple[Unit, int]]) -> str:
    """What a product measures: the word of a kind with the same base units, else the base units themselves.

    pint counts pieces and angles as plain numbers; here they tell kinds apart (revolutions per day, pieces per m2).
    """
    bases: dict[str, Any] = {name.strip("[]"): power for name, power in _measure(expression).dimensionality.items()}
    special = {kind: sum(power for unit, power in factors if unit.dimension == kind) for kind in ("angle", "count")}
    for dimension, unit in _first_of_kind().items():
        kind = "angle" if dimension in _ANGULAR else "count" if dimension in _COUNTED else None
        if special == {name: int(name == kind) for name in special} and _same_bases(unit.expression, expression):
            return dimension
    bases |= {kind: power for kind, power in special.items() if power}
    return " ".join(f"{name}^{power}" if power != 1 else name for name, power in sorted(bases.items())) or "fraction"


_ANGULAR = ("angle", _ROTATION, "angular acceleration")
_COUNTED = ("count", "count rate")


@functools.cache
def _first_of_kind() -> dict[str, Unit]:
    first: dict[str, Unit] = {}
    for unit in known_units():
        if unit.expression:
            first.setdefault(unit.dimension, unit)
    return first


def _same_bases(expression: str, other: str) -> bool:
    return bool(_measure(expression).dimensionality == _measure(other).dimensionality)


# Conversion ---------------------------------------------------------------------------------------------------------


@functools.cache
def _registry() -> Any:
    import pint

    # Exact ratios: kW to W is 1000, not 999.9999999999999.
    return pint.UnitRegistry(non_int_type=Fraction)


@functools.lru_cache(maxsize=1024)
def _measure(expression: str) -> Any:
    return _registry().parse_expression(expression) * Fraction(1)


def conversion(from_unit: str | Unit, to_unit: str | Unit) -> Affine:
    """The conversion between two units: `value * scale + offset`. Temperatures are absolute temperatures.

    A rotational speed and a frequency convert at one cycle a revolution (1500 rpm = 25 Hz).
    Raises InvalidValueError if a unit is unknown or the two measure different things.
    """
    source = parse_unit(from_unit) if isinstance(from_unit, str) else from_unit
    target = parse_unit(to_unit) if isinstance(to_unit, str) else to_unit
    return _conversion(source, target)


@functools.lru_cache(maxsize=1024)
def product(left: Unit, right: Unit, power: int = 1) -> Unit | None:
    """The unit of `left * right`, or with power -1 of `left / right`; None if one of them converts to nothing."""
    if not left.expression or not right.expression:
        return None
    expression = f"({left.expression})*({right.expression})**{power}"
    name = f"({left.name}){'.' if power == 1 else '/'}({right.name})"
    return Unit(name, name, _dimension(expression, [(left, 1), (right, power)]), None, None, expression)


def convertible(from_unit: str | Unit, to_unit: str | Unit) -> bool:
    """Whether two known units measure the same; raises InvalidValueError if one is unknown."""
    source = parse_unit(from_unit) if isinstance(from_unit, str) else from_unit
    target = parse_unit(to_unit) if isinstance(to_unit, str) else to_unit
    return _kinship(source, target) is not None


def _kinship(source: Unit, target: Unit) -> float | None:
    """The factor that two units' conventions add to pint's ratio; None if they measure different things."""
    if source == target:
        return 1.0
    if not source.expression or not target.expression:
        return None
    kinds = (source.dimension, target.dimension)
    if kinds == (_ROTATION, _FREQUENCY):
        return 1.0 / math.tau
    if kinds == (_FREQUENCY, _ROTATION):
        return math.tau
    if kinds[0] == kinds[1]:
        return 1.0
    # A product such as lbf.ft may be any of the kinds with its base units: a torque as well as an energy.
    product = not (_in_table(source) and _in_table(target))
    if product and not any(map(_special, kinds)) and _same_bases(source.expression, target.expression):
        return 1.0
    return None


def _special(dimension: str) -> bool:
    """Whether pieces or angles are in it, which pint does not tell from plain numbers."""
    return dimension in (*_ANGULAR, *_COUNTED) or bool(re.search(r"\b(angle|count)\b", dimension))


def _in_table(unit: Unit) -> bool:
    return _index()[0].get(unit.name) == unit


@functools.lru_cache(maxsize=4096)
def _conversion(source: Unit, target: Unit) -> Affine:
    if source == target:
        return Affine(1.0)
    factor = _kinship(source, target)
    if factor is None:
        raise InvalidValueError(
            f"{source.name} ({source.dimension}) cannot be converted to {target.name} ({target.dimension})"
        )
    if source.name in _TEMPERATURES and target.name in _TEMPERATURES:
        return _temperature(source.name, target.name)
    ratio = (_measure(source.expression) / _measure(target.expression)).to_root_units()
    return Affine(float(ratio.magnitude) * factor)


def _temperature(source: str, target: str) -> Affine:
    scale, shift = map(Fraction, _TEMPERATURES[source])
    target_scale, target_shift = map(Fraction, _TEMPERATURES[target])
    return Affine(float(scale / target_scale), float(shift * scale / target_scale - target_shift))


def parse_quantity(text: str) -> Quantity:
    """A number with an optional unit: `150kW`, `-12.5 °C`, `1e3 rpm`, `42`. Raises InvalidValueError."""
    match = _QUANTITY.match(text)
    if match is None:
        raise InvalidValueError(f"{text!r} is not a number with a unit, such as 150kW or 2.5 m/s")
    value = float(match["value"].replace(" ", "").replace("_", ""))
    return Quantity(value, parse_unit(match["unit"]) if match["unit"] else None)
