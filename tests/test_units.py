"""Units by name, symbol and code, against conversion factors published by NIST SP 811 and the SI brochure."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from iotsense.twin.errors import InvalidValueError
from iotsense.twin.units import Unit, conversion, convertible, known_units, parse_quantity, parse_unit


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (("celsius", "Cel", "CEL", "°C", "degC", "C", "Celsius", "degree celsius", " celsius "), "celsius"),
        (("fahrenheit", "[degF]", "FAH", "°F", "F"), "fahrenheit"),
        (("percent", "%", "P1", "pct", "Percent"), "percent"),
        (("m/s", "MTS", "metre per second", "m/S"), "m/s"),
        (("mm/s", "C16"), "mm/s"),
        (("kW", "KWT", "kilowatt", "kw"), "kW"),
        (("rpm", "RPM", "r/min", "{rev}/min"), "rpm"),
        (("bar", "BAR"), "bar"),
        (("hPa", "A97"), "hPa"),
        (("psi", "[psi]"), "psi"),
        (("l/min", "L/min", "L2", "lpm"), "l/min"),
        (("count", "H87", "pieces", "pcs"), "count"),
        (("kWh", "kW.h", "KWH", "kW·h"), "kWh"),
        (("m3/h", "m³/h", "MQH", "m^3/h"), "m3/h"),
        (("m/s2", "m/s²", "MSK"), "m/s2"),
        (("Nm", "N·m", "N.m", "NU"), "Nm"),
        (("um", "µm", "μm", "4H", "micron"), "um"),
        (("ohm", "Ω", "Ohm", "OHM"), "ohm"),
    ],
)
def test_a_unit_goes_by_many_names(texts: tuple[str, ...], name: str) -> None:
    assert {parse_unit(text).name for text in texts} == {name}


def test_case_counts_where_it_tells_units_apart() -> None:
    assert parse_unit("mW").name == "mW"
    assert parse_unit("MW").name == "MW"
    assert {parse_unit(text).name for text in ("KW", "kw", "Kw")} == {"kW"}
    assert {parse_unit(text).name for text in ("Metre", "METRE", "MPH", "Min")} == {"m", "mph", "min"}
    with pytest.raises(InvalidValueError, match="did you mean 'MW' or 'mW'"):
        parse_unit("mw")


@pytest.mark.parametrize("text", ["MV", "MA", "Mm", "ML", "Mbar", "MM/S", "G", "M"])
def test_mega_is_never_taken_for_milli(text: str) -> None:
    with pytest.raises(InvalidValueError, match="did you mean"):
        parse_unit(text)


@pytest.mark.parametrize("unit", known_units(), ids=lambda unit: unit.name)
def test_every_unit_of_the_table_is_found_by_its_codes_and_converts_to_itself(unit: Unit) -> None:
    assert parse_unit(unit.name) == unit
    if unit.ucum:
        assert parse_unit(unit.ucum) == unit
    if unit.unece and unit.unece != "PS":
        assert parse_unit(unit.unece) == unit
    assert conversion(unit, unit).identity


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (212.0, "fahrenheit", "celsius", 100.0),
        (-40.0, "celsius", "fahrenheit", -40.0),
        (0.0, "K", "celsius", -273.15),
        (25.0, "celsius", "K", 298.15),
        (491.67, "rankine", "celsius", 0.0),
        (1.0, "celsius/min", "fahrenheit/min", 1.8),
        (1.0, "bar", "psi", 14.503773773020923),
        (1.0, "atm", "hPa", 1013.25),
        (1.0, "psi", "kPa", 6.894757293168361),
        (1.0, "mmHg", "Pa", 133.322387415),
        (1.0, "inH2O", "Pa", 249.08891),
        (1.0, "kgf/cm2", "bar", 0.980665),
        (1.0, "hp", "W", 745.6998715822702),
        (1.0, "metric_hp", "W", 735.49875),
        (1.0, "kWh", "MJ", 3.6),
        (1.0, "BTU/h", "W", 0.2930710701722),
        (1.0, "gal/min", "l/min", 3.785411784),
        (1.0, "gal_uk", "l", 4.54609),
        (1.0, "cfm", "m3/h", 1.69901079552),
        (1.0, "bbl", "l", 158.987294928),
        (60.0, "l/min", "m3/h", 3.6),
        (1.0, "in/s", "mm/s", 25.4),
        (1.0, "kn", "km/h", 1.852),
        (60.0, "mph", "m/s", 26.8224),
        (1.0, "g_n", "m/s2", 9.80665),
        (1.0, "lb", "kg", 0.45359237),
        (1.0, "ton_us", "kg", 907.18474),
        (1.0, "lbf.ft", "Nm", 1.3558179483314004),
        (1500.0, "rpm", "Hz", 25.0),
        (50.0, "Hz", "rpm", 3000.0),
        (60.0, "rpm", "rad/s", 6.283185307179586),
        (1.0, "cP", "mPa.s", 1.0),
        (1.0, "cSt", "mm2/s", 1.0),
        (50.0, "percent", "one", 0.5),
        (1.0, "percent", "ppm", 10_000.0),
        (120.0, "bottles/h", "count/min", 2.0),
        (1.0, "Ah", "coulomb", 3600.0),
        (1.0, "GB", "MB", 1000.0),
        (1.0, "kg.m/s2", "N", 1.0),
        (1.0, "J/s", "W", 1.0),
        (1440.0, "rev/d", "rpm", 1.0),
        (3.6, "kg/m2/h", "kg/m2/s", 0.001),
        (1.0, "kg/(m2*s)", "g/m2/s", 1000.0),
    ],
)
def test_conversion_agrees_with_published_factors(value: float, source: str, target: str, expected: float) -> None:
    assert conversion(source, target)(value) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_decimal_prefixes_convert_without_rounding() -> None:
    assert conversion("kW", "W").scale == 1000.0
    assert conversion("mm", "m").scale == 0.001
    assert conversion("celsius", "fahrenheit").offset == 32.0


def test_a_conversion_works_on_columns() -> None:
    affine = conversion("fahrenheit", "celsius")
    column = np.array([32.0, 212.0]) * affine.scale + affine.offset
    assert column == pytest.approx([0.0, 100.0], abs=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [("celsius", "bar"), ("kW", "kVA"), ("kWh", "kW"), ("Nm", "J"), ("percent", "count"), ("rpm", "count/min"),
     ("deg", "percent"), ("pH", "one"), ("dB", "dBA"), ("rev/d", "count/h"), ("count/m2", "1/m2")],
)  # fmt: skip
def test_what_measures_different_things_does_not_convert(source: str, target: str) -> None:
    assert not convertible(source, target)
    with pytest.raises(InvalidValueError, match="cannot be converted"):
        conversion(source, target)


@pytest.mark.parametrize("text", ["W/(m2*K)", "kg.m/s2", "mph.s", "kph2", "C/min", "kg/m2.s", "1/m3"])
def test_the_name_of_a_composed_unit_means_the_same_unit(text: str) -> None:
    name = parse_unit(text).name
    assert parse_unit(name).name == name
    assert conversion(text, name).identity or conversion(text, name).scale == 1.0


def test_an_unknown_unit_gets_a_suggestion() -> None:
    with pytest.raises(InvalidValueError, match="'celsuis' is not a unit that is known here; did you mean 'celsius'"):
        parse_unit("celsuis")


@pytest.mark.parametrize("text", ["", "   ", "x" * 1000, "m^^2", "((((", "m**9**9", "m/(s/(kg))", "exec(1)", "m2)"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_unit(text)


@pytest.mark.parametrize("text", ["HP", "PS"])
def test_a_text_with_two_meanings_is_refused_with_both(text: str) -> None:
    with pytest.raises(InvalidValueError, match=r"ambiguous; write .* or .*UNECE"):
        parse_unit(text)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("150kW", 150.0, "kW"), ("-12.5 °C", -12.5, "celsius"), ("1e3 rpm", 1000.0, "rpm"), ("2.5 m/s", 2.5, "m/s"),
     ("80%", 80.0, "percent"), (" 42 ", 42.0, None), (".5bar", 0.5, "bar"), ("1_000 l", 1000.0, "l")],
)  # fmt: skip
def test_a_quantity_is_a_number_with_its_unit(text: str, value: float, unit: str | None) -> None:
    quantity = parse_quantity(text)
    assert quantity.value == value
    assert (quantity.unit and quantity.unit.name) == unit


def test_a_quantity_converts() -> None:
    assert parse_quantity("150kW").to("W") == 150_000.0
    with pytest.raises(InvalidValueError, match="no unit"):
        parse_quantity("150").to("W")


@pytest.mark.parametrize("text", ["kW", "", "12..5 kW", "150 xW", "--3 m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_quantity(text)


def test_naming_a_unit_does_not_load_pint() -> None:
    script = (
        "import sys; from iotsense.twin.units import parse_unit; parse_unit('CEL'); sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_page_lists_every_unit_with_its_codes() -> None:
    page = (Path(__file__).parents[1] / "docs" / "units.md").read_text()
    for unit in known_units():
        ucum, unece = (f"`{code}`" if code else "" for code in (unit.ucum, unit.unece))
        assert f"| `{unit.name}` | {unit.symbol} | {ucum} | {unece} |" in page
