"""The syntax of the line protocol, by InfluxDB's reference and the edges that its documentation names."""

import random

import pytest

from iotsense.ingest.columns import Columns
from iotsense.ingest.line_protocol import BadLine, Line, parse_lines
from iotsense.ingest.line_reader import LineReader, line_factor, line_via
from iotsense.ingest.line_series import SeriesNaming
from iotsense.twin.define_line_protocol import LineProtocol
from iotsense.twin.errors import InvalidValueError


def one(text: str | bytes) -> Line:
    (line,) = parse_lines(text.encode() if isinstance(text, str) else text)
    assert isinstance(line, Line), line
    return line


def why(text: str | bytes) -> str:
    (line,) = parse_lines(text.encode() if isinstance(text, str) else text)
    assert isinstance(line, BadLine), line
    return line.reason


@pytest.mark.parametrize(
    ("text", "measurement", "tags", "fields", "stamp"),
    [
        # InfluxDB's own examples
        ("myMeasurement,tag1=value1,tag2=value2 fieldKey=\"fieldValue\" 1556813561098000000", "myMeasurement",
         {"tag1": "value1", "tag2": "value2"}, {"fieldKey": "fieldValue"}, 1556813561098000000),
        ("myMeasurement fieldKey=1.0", "myMeasurement", {}, {"fieldKey": 1.0}, None),
        ("myMeasurement fieldKey=-1.234456e+78", "myMeasurement", {}, {"fieldKey": -1.234456e78}, None),
        ("myMeasurement fieldKey=12485903i", "myMeasurement", {}, {"fieldKey": 12485903}, None),
        ("myMeasurement fieldKey=12485903u", "myMeasurement", {}, {"fieldKey": 12485903}, None),
        ("m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=FALSE", "m", {},
         {"a": True, "b": True, "c": True, "d": True, "e": True, "f": False, "g": False}, None),
        (r"my\ Measurement fieldKey=1", "my Measurement", {}, {"fieldKey": 1.0}, None),
        (r'm fieldKey="\"string\" within a string"', "m", {}, {"fieldKey": '"string" within a string'}, None),
        (r"m,tag\ Key1=tag\ Value1,tag\ Key2=tag\ Value2 fieldKey=100", "m",
         {"tag Key1": "tag Value1", "tag Key2": "tag Value2"}, {"fieldKey": 100.0}, None),
        ("myMeasurement,tagKey=🍭 fieldKey=\"Launch 🚀\" 1556813561098000000", "myMeasurement", {"tagKey": "🍭"},
         {"fieldKey": "Launch 🚀"}, 1556813561098000000),
        # The edges
        (r"a\,b\=c,d\=e=f\,g h\ i=1", "a,b\\=c", {"d=e": "f,g"}, {"h i": 1.0}, None),
        (r"path,dir=C:\temp\x,end=\\x v=1", "path", {"dir": "C:\\temp\\x", "end": "\\\\x"}, {"v": 1.0}, None),
        ('m s="a=b,c d#e",t=2 5', "m", {}, {"s": "a=b,c d#e", "t": 2.0}, 5),
        ('m s="line\nbreak" 5', "m", {}, {"s": "line\nbreak"}, 5),
        ('m s="\\\\" 5', "m", {}, {"s": "\\"}, 5),
        ('m s="" -5', "m", {}, {"s": ""}, -5),
        ("m,t=a   f=1   7  ", "m", {"t": "a"}, {"f": 1.0}, 7),
        ("m f=1 7\r\n", "m", {}, {"f": 1.0}, 7),
        ("m f=.5,g=5.,h=+2,i=-0", "m", {}, {"f": 0.5, "g": 5.0, "h": 2.0, "i": 0.0}, None),
        ('say"so,a"b="c" f=1', 'say"so', {'a"b': '"c"'}, {"f": 1.0}, None),
        ("m f=-9223372036854775808i,g=18446744073709551615u", "m", {}, {"f": -(2**63), "g": 2**64 - 1}, None),
    ],
)  # fmt: skip
def test_points(text: str, measurement: str, tags: dict, fields: dict, stamp: int | None) -> None:
    line = one(text)
    assert (line.measurement, line.tags, line.fields, line.stamp) == (measurement, tags, fields, stamp)
    assert [type(value) for value in line.fields.values()] == [type(value) for value in fields.values()]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m", "missing fields"),
        ("m ", "missing fields"),
        ("m,t=a", "missing fields"),
        (",t=a f=1", "missing measurement"),
        ("m f", "missing value of field f"),
        ("m f=", "missing value of field f"),
        ("m f= 5", "missing value of field f"),
        ("m =1", "missing fields"),
        ("m f=1,", "missing fields"),
        ("m,t= f=1", "missing value of tag t"),
        ("m,t f=1", "missing value of tag t"),
        ("m,=a f=1", "missing tag key"),
        ("m,t=a=b f=1", "holds a ="),
        ("m,t=a,t=b f=1", "duplicate tag t"),
        ('m f="open 5', "unbalanced quotes"),
        ("m f=text", "invalid value text of field f"),
        ("m f=1_0", "invalid value 1_0"),
        ("m f=nan", "invalid value nan"),
        ("m f=1e999", "beyond what a float holds"),
        ("m f=9223372036854775808i", "beyond 64 bits"),
        ("m f=-1u", "invalid value -1u"),
        ("m f=1.5i", "invalid value 1.5i"),
        ("m f=1 soon", "bad timestamp soon"),
        ("m f=1 5 6", "something follows the timestamp"),
        ("my measurement f=1", "missing value of field measurement"),
        (b"m f=\"\xff\"", "it is not UTF-8"),
    ],
)  # fmt: skip
def test_lines_that_are_none(text: str | bytes, reason: str) -> None:
    assert reason in why(text)
    assert why(text).startswith("unable to parse '")


def test_a_bad_line_does_not_spoil_its_neighbours() -> None:
    lines = list(parse_lines(b'a v=1\n\n# a comment, "open\nb v=\nc v="two\nlines"\n  d v=2\n'))
    assert [line.measurement if isinstance(line, Line) else line.text for line in lines] == ["a", b"b v=", "c", "d"]


class Lane:
    """What the pipeline knows: every address but those of `unknown` devices."""

    def __init__(self, unknown: str) -> None:
        self.unknown = unknown
        self.asked: list[tuple] = []

    def get(self, key):
        if key[0] == self.unknown:
            return None
        if key not in self.asked:
            self.asked.append(key)
        return (self.asked.index(key), 2.0, 1.0)


def test_the_fast_way_reads_as_the_slow_way_does() -> None:
    draw = random.Random()
    values = ["1", "-2.5", "3i", "4u", "1e3", "0.1", "t", '"x y"', '"a,b=c"', "9007199254740993i", "bad", "", "1_0"]
    stamps = ["", " 1700000000000000000", " 0", " -7", " 1700000000000000001", " x"]
    for _ in range(300):
        lines = []
        for _ in range(draw.randrange(1, 12)):
            tags = draw.choice(["", ",host=h1", ",host=h2,cpu=0", r",host=h\ 3", ",device=unknown"])
            fields = ",".join(
                f"{name}={draw.choice(values[: draw.choice([4, 13])])}" for name in draw.sample("abcd", 2)
            )
            lines.append(f"{draw.choice(['m', 'n', '#c'])}{tags} {fields}{draw.choice(stamps)}")
        payload = draw.choice(["\n", "\r\n"]).join(lines).encode()
        fast, slow = LineReader(SeriesNaming(LineProtocol()), 1), LineReader(SeriesNaming(LineProtocol()), 1)
        columns, failures = Columns(), []
        received, lane = 1_700_000_000_000_000_000, Lane("unknown")
        documents = fast.read(payload, columns, lane, received, received, failures)
        expected_failures: list = []
        expected = slow._documents(payload, expected_failures)
        assert [failure.reason for failure in failures] == [failure.reason for failure in expected_failures]
        rows = list(zip(columns.signal, columns.time, columns.value, columns.quality, strict=True))
        through = [d for d in expected if d not in documents]
        wanted = [
            (lane.asked.index((d.device_id, m.name, m.unit)), _ns(d.timestamp, received), m.value * 2.0 + 1.0, 192)
            for d in through
            for m in d.measurements
        ]
        assert rows == wanted
        assert len(through) + len(documents) == len(expected)


def _ns(stamp, received: int) -> int:
    from iotsense.ingest.stamps import clock

    return received if stamp is None else clock()(stamp)


def test_names() -> None:
    naming = SeriesNaming(LineProtocol())

    def key(text: str, naming: SeriesNaming = naming) -> tuple:
        line = one(text)
        return naming.series(line.measurement, line.tags).key(next(iter(line.fields)))

    assert key("temperature,device=press_1,host=gw value=3") == ("press_1", "temperature", None)
    assert key("machine,device_id=press_1,line=l1,unit=bar pressure=3") == ("press_1", "machine_pressure", "bar")
    assert key("cpu,host=gw,cpu=cpu0 usage_user=3") == ("gw", "cpu_usage_user_cpu0", None)
    assert key("conveyor speed=3") == ("conveyor", "speed", None)
    assert key("weather,location=yard temperature=3") == ("weather", "temperature_yard", None)
    config = LineProtocol(device_tags=["host"], metadata_tags=["cpu"], name_template="${field}.${measurement}")
    assert key("cpu,host=gw,cpu=cpu0,device=d usage=3", SeriesNaming(config)) == ("gw", "usage.cpu", None)
    with pytest.raises(ValueError, match="expected measurement, field or tags"):
        LineProtocol(name_template="${metric}")
    with pytest.raises(ValueError, match="at least one tag"):
        LineProtocol(device_tags=[])


def test_precisions() -> None:
    assert [line_factor(line_via(unit)) for unit in ("ns", "u", "ms", "s", "h")] == [
        1,
        1000,
        10**6,
        10**9,
        3600 * 10**9,
    ]
    assert line_factor("a/queue") is None
    with pytest.raises(InvalidValueError, match="invalid precision 'min'"):
        line_via("min")
