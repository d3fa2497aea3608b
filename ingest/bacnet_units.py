"""BACnet's engineering units (ASHRAE 135, clause 21) by the units that are known here."""

from typing import Final

_TABLE = """
square-meters m2; square-feet ft2; square-inches in2; square-centimeters cm2
milliamperes mA; amperes A; volts V; millivolts mV; kilovolts kV; ohms ohm; kilohms kohm; megohms Mohm
volt-amperes V.A; kilovolt-amperes kV.A; megavolt-amperes MV.A
volt-amperes-reactive var; kilovolt-amperes-reactive kvar
joules J; kilojoules kJ; megajoules MJ; watt-hours Wh; kilowatt-hours kWh; megawatt-hours MWh; btus BTU
milliwatts mW; watts W; kilowatts kW; megawatts MW; horsepower hp; btus-per-hour BTU/h
hertz Hz; kilohertz kHz; megahertz MHz; revolutions-per-minute rpm; cycles-per-hour 1/h; cycles-per-minute 1/min
millimeters mm; centimeters cm; meters m; kilometers km; inches in; feet ft; micrometers um
grams g; kilograms kg; tons t; pounds-mass lb; milligrams mg
kilograms-per-second kg/s; kilograms-per-minute kg/min; kilograms-per-hour kg/h; grams-per-second g/s
grams-per-minute g/min; tons-per-hour t/h; pounds-mass-per-hour lb/h
pascals Pa; hectopascals hPa; kilopascals kPa; millibars mbar; bars bar; pounds-force-per-square-inch psi
inches-of-water inH2O; millimeters-of-mercury mmHg; inches-of-mercury inHg
degrees-celsius celsius; degrees-kelvin kelvin; degrees-fahrenheit fahrenheit
years a; months mo; weeks week; days d; hours h; minutes min; seconds s; milliseconds ms
meters-per-second m/s; kilometers-per-hour km/h; feet-per-second ft/s; feet-per-minute ft/min
millimeters-per-second mm/s; meters-per-second-per-second m/s2
cubic-feet ft3; cubic-meters m3; liters L; milliliters mL; us-gallons gal
cubic-feet-per-second ft3/s; cubic-feet-per-minute ft3/min; cubic-meters-per-second m3/s; cubic-meters-per-hour m3/h
cubic-meters-per-minute m3/min; liters-per-second L/s; liters-per-minute L/min; liters-per-hour L/h
us-gallons-per-minute gal/min; milliliters-per-second mL/s
percent %; percent-relative-humidity %RH; parts-per-million ppm; parts-per-billion ppb; per-mille per_mille
degrees-angular deg; radians rad; luxes lx; lumens lm; candelas cd; decibels dB; newton N; newton-meters N.m
kilograms-per-cubic-meter kg/m3; grams-per-cubic-meter g/m3; milligrams-per-cubic-meter mg/m3
micrograms-per-cubic-meter ug/m3; watts-per-square-meter W/m2; siemens S; micro-siemens uS
"""
_UNITS: Final = dict(pair.split() for line in _TABLE.strip().splitlines() for pair in line.split("; "))


def unit_of(engineering_units: str) -> str | None:
    """The unit that an engineering unit is, such as celsius for degrees-celsius; None if it is none of ours."""
    return _UNITS.get(engineering_units)
