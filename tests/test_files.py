"""Loading CSV and Parquet files: what becomes of every row, whose clock it was, and what the caller is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest

from iotsense.ingest.dead_letters import message_of
from iotsense.ingest.file_mapping import FileMapping, file_mapping
from iotsense.ingest.file_times import ColumnClock, LocalTimes
from iotsense.ingest.files import LoadReport, load_file
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.model import DataType, Level, Role
from iotsense.twin.times import NS, datetime_to_ns
from iotsense.twin.twin import Twin

SKAB = Path(__file__).parents[2] / "shared" / "data" / "skab" / "valve1" / "0.csv"
BEGIN = datetime(2024, 1, 15, 10, tzinfo=UTC)


@pytest.fixture
def twin(tmp_path: Path):
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        yield twin


def build(edit) -> None:
    site = edit.add_node(id="works", level=Level.SITE, properties={"timezone": "Europe/Berlin"})
    line = edit.add_node(id="loop", level=Level.LINE, parent=site.key)
    pump = edit.add_node(id="loop.pump", level=Level.COMPONENT, parent=line.key)
    for name, unit in (("pressure", "bar"), ("current", "A"), ("state", None), ("running", None)):
        sensor = edit.add_node(id=f"loop.pump.{name}", level=Level.SENSOR, parent=pump.key)
        edit.add_signal(sensor.key, "value", unit=unit)
    edit.add_signal(pump.key, "health", role=Role.DERIVED, unit="%")


def load(twin: Twin, path: Path, *maps: str, **options) -> LoadReport:
    return load_file(twin, path, file_mapping(maps, options))


def written(tmp_path: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def values(twin: Twin, id: str) -> list[tuple[int, float]]:
    signal = twin.graph.find_signal(id).index
    history = twin.history(signal, -(2**62), 2**62)
    return list(zip(history.time.tolist(), history.value.tolist(), strict=True))


def ns(text: str) -> int:
    return datetime_to_ns(datetime.fromisoformat(text))


def test_columns_become_signals(twin: Twin, tmp_path: Path) -> None:
    path = written(tmp_path, "time,p [bar],I,note\n2024-01-15T10:00:00Z,1.5,2,x\n2024-01-15T10:00:01Z,1.6,,y\n")
    report = load(twin, path, "p [bar]=pump.pressure", "I=current")
    assert values(twin, "pump.pressure") == [(ns("2024-01-15T10:00:00Z"), 1.5), (ns("2024-01-15T10:00:01Z"), 1.6)]
    assert values(twin, "current") == [(ns("2024-01-15T10:00:00Z"), 2.0)]
    assert (report.rows, report.readings, report.empty, report.bad_rows) == (2, 3, 1, 0)
    assert report.signals == {"loop.pump.pressure": 2, "loop.pump.current": 1}
    assert report.ignored == ["note"]
    assert (report.first, report.last) == ("2024-01-15T10:00:00.000Z", "2024-01-15T10:00:01.000Z")


def test_columns_that_are_called_like_sensors_need_no_map(twin: Twin, tmp_path: Path) -> None:
    report = load(twin, written(tmp_path, "ts,pressure,current,other\n2024-01-15T10:00:00Z,1,2,3\n"))
    assert report.readings == 2
    assert report.ignored == ["other"]


def test_a_map_file_may_say_all_of_it(twin: Twin, tmp_path: Path) -> None:
    given = written(
        tmp_path,
        'time: when\nformat: "%d.%m.%Y %H:%M"\ntimezone: Asia/Tokyo\ndelimiter: ";"\ndecimal: ","\n'
        "encoding: cp1252\ncolumns:\n  Druck größer: {signal: pressure, unit: kPa}\n  I: current\n",
        "map.yaml",
    )
    path = written(tmp_path, "when;Druck größer;I\n15.01.2024 19:00;150,5;2,25\n", encoding="cp1252")
    load(twin, path, str(given))
    assert values(twin, "pressure") == [(ns("2024-01-15T10:00:00Z"), pytest.approx(1.505))]
    assert values(twin, "current") == [(ns("2024-01-15T10:00:00Z"), 2.25)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_recognised(twin: Twin, tmp_path: Path, delimiter: str) -> None:
    rows = [["time", "pressure", "current"], ["2024-01-15T10:00:00Z", "1", "2"]]
    assert load(twin, written(tmp_path, "\n".join(delimiter.join(row) for row in rows))).readings == 2


def test_a_row_that_is_no_good_stops_no_other(twin: Twin, tmp_path: Path) -> None:
    text = (
        "time,pressure,current\n2024-01-15T10:00:00Z,1,1\n2024-01-15T10:00:01Z,oops,2\nyesterday,3,3\n\n"
        "2024-01-15T10:00:02Z,4\n2024-01-15T10:00:03Z,inf,5\n,6,6\n2024-01-15T10:00:04Z,7,7\n"
        "2999-01-01T00:00:00Z,8,8\n"
    )
    report = load(twin, written(tmp_path, text))
    assert [value for _, value in values(twin, "pressure")] == [1, 7]
    assert [value for _, value in values(twin, "current")] == [1, 2, 5, 7]
    assert (report.rows, report.readings, report.bad_rows) == (8, 6, 6)
    assert [problem.line for problem in report.problems] == [3, 4, 6, 7, 8, 10]
    reasons = [problem.reason for problem in report.problems]
    assert reasons[0].startswith("pressure: loop.pump.pressure is a number; 'oops' is not")
    assert "'yesterday' is not a time" in reasons[1]
    assert reasons[2] == "2 cells, where the header has 3"
    assert "not a finite number" in reasons[3]
    assert reasons[4] == "time: there is no time"
    assert "outside the years" in reasons[5] or "future" in reasons[5]


def test_what_cannot_be_used_is_a_dead_letter_with_its_line(twin: Twin, tmp_path: Path) -> None:
    load(twin, written(tmp_path, "time,pressure,current\n2024-01-15T10:00:01Z,oops,2\n", "shift 7.csv"))
    (letter,) = twin.dead_letters()
    assert letter.source == "file:shift 7.csv"
    assert letter.reason.startswith("line 2: pressure: ")
    assert letter.payload == b"2024-01-15T10:00:01Z,oops,2"
    assert message_of(letter).payload == letter.payload


def test_a_future_time_is_not_believed(twin: Twin, tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    report = load(twin, written(tmp_path, f"time,pressure\n{ahead},1\n"))
    assert report.readings == 0
    assert "is in the future" in report.problems[0].reason


def test_of_a_hopeless_file_not_every_line_is_kept(twin: Twin, tmp_path: Path) -> None:
    rows = "\n".join("2024-01-15T10:00:00Z,x" for _ in range(1500))
    report = load(twin, written(tmp_path, f"time,pressure\n{rows}\n"))
    assert (report.bad_rows, report.dead_letters, len(report.problems)) == (1500, 1000, 10)
    assert twin.pending_dead_letters() == 1000


def test_loading_again_doubles_nothing(twin: Twin, tmp_path: Path) -> None:
    path = written(tmp_path, "time,pressure\n2024-01-15T10:00:00Z,1\n2024-01-15T10:00:01Z,2\n")
    load(twin, path)
    load(twin, path)
    assert [value for _, value in values(twin, "pressure")] == [1, 2]


# Times


def test_times_without_a_zone_are_the_sites(twin: Twin, tmp_path: Path) -> None:
    load(twin, written(tmp_path, "time,pressure\n2024-07-15 10:00:00,1\n2024-07-15 10:00:01.5,2\n"))
    moments = [moment for moment, _ in values(twin, "pressure")]
    assert moments == [ns("2024-07-15T08:00:00Z"), ns("2024-07-15T08:00:01.500Z")]


def test_the_options_zone_goes_before_the_sites(twin: Twin, tmp_path: Path) -> None:
    load(twin, written(tmp_path, "time,pressure\n2024-07-15 10:00:00,1\n"), timezone="UTC")
    assert values(twin, "pressure")[0][0] == ns("2024-07-15T10:00:00Z")


def test_times_without_any_zone_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(lambda edit: edit.add_signal(edit.add_node(id="x", level=Level.LINE).key, "p"), "test")
        path = written(tmp_path, "time,v\n2024-07-15 10:00:00,1\n")
        with pytest.raises(InvalidValueError, match="name no zone"):
            load(twin, path, "v=x.p")
        assert twin.reading_count() == 0


@pytest.mark.parametrize(
    ("cell", "format", "expected"),
    [
        ("1705312800", None, "2024-01-15T10:00:00Z"),
        ("1705312800123", None, "2024-01-15T10:00:00.123Z"),
        ("1705312800", "unix_s", "2024-01-15T10:00:00Z"),
        ("2024-01-15T11:00:00+01:00", None, "2024-01-15T10:00:00Z"),
        ("2024-01-15 05:00-0500", "%Y-%m-%d %H:%M%z", "2024-01-15T10:00:00Z"),
        ("15.01.2024 11:00", "%d.%m.%Y %H:%M", "2024-01-15T10:00:00Z"),
        ("2024-01-15", None, "2024-01-14T23:00:00Z"),
    ],
)
def test_ways_to_write_a_time(cell: str, format: str | None, expected: str) -> None:
    times, bad = ColumnClock(ZoneInfo("Europe/Berlin"), format).read([cell])
    assert not bad
    assert times.tolist() == [ns(expected)]


def test_the_hour_that_a_night_has_twice_is_told_by_the_order() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin = datetime(2024, 10, 26, 23, 30, tzinfo=UTC)
    instants = [begin + timedelta(minutes=5 * i) for i in range(40)]
    wall = [moment.astimezone(berlin).replace(tzinfo=None) for moment in instants]
    cells = [moment.isoformat(sep=" ") for moment in wall]
    expected = [datetime_to_ns(moment) for moment in instants]
    assert ColumnClock(berlin, None).read(cells)[0].tolist() == expected
    one_by_one = ColumnClock(berlin, None)
    assert [int(one_by_one.read([cell])[0][0]) for cell in cells] == expected


def test_a_day_of_23_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    instants = [datetime(2024, 3, 30, 23, tzinfo=UTC) + timedelta(minutes=15 * i) for i in range(92)]
    wall = np.array([datetime_to_ns(m.astimezone(berlin).replace(tzinfo=None)) for m in instants])
    assert LocalTimes(berlin).to_utc(wall).tolist() == [datetime_to_ns(m) for m in instants]


# Values


def test_texts_and_truths(twin: Twin, tmp_path: Path) -> None:
    rows = "2024-01-15T10:00:00Z,idle,true\n2024-01-15T10:00:01Z,running,false\n2024-01-15T10:00:02Z,idle,\n"
    load(twin, written(tmp_path, f"time,state,running\n{rows}"))
    state, running = twin.graph.find_signal("state"), twin.graph.find_signal("running")
    assert (state.data_type, running.data_type) == (DataType.TEXT, DataType.BOOLEAN)
    assert [twin.label(state.index, code) for _, code in values(twin, "state")] == ["idle", "running", "idle"]
    assert [value for _, value in values(twin, "running")] == [1.0, 0.0]


def test_missing_values_are_no_readings(twin: Twin, tmp_path: Path) -> None:
    cells = ["", "NaN", "null", "N/A", "5"]
    text = "\n".join(f"2024-01-15T10:00:0{i}Z,{cell}" for i, cell in enumerate(cells))
    report = load(twin, written(tmp_path, f"time,pressure\n{text}\n"))
    assert (report.readings, report.empty, report.bad_rows) == (1, 4, 0)


# Parquet


def parquet(tmp_path: Path, select: str) -> Path:
    path = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def test_parquet_files(twin: Twin, tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        "SELECT TIMESTAMPTZ '2024-01-15 10:00:00+00' + i * INTERVAL 1 second AS t, (i / 10)::DECIMAL(9, 3) AS pressure,"
        " CASE WHEN i % 2 = 0 THEN i END::INTEGER AS current, 'idle' AS state, i > 5 AS running"
        " FROM range(25000) r(i)",
    )
    report = load(twin, path)
    assert report.rows == 25000
    assert report.signals["loop.pump.current"] == 12500
    assert report.empty == 12500
    history = values(twin, "pressure")
    assert history[0] == (ns("2024-01-15T10:00:00Z"), 0.0)
    assert history[-1] == (ns("2024-01-15T10:00:00Z") + 24999 * NS, 2499.9)
    assert twin.label(twin.graph.find_signal("state").index, values(twin, "state")[7][1]) == "idle"
    assert [value for _, value in values(twin, "running")[4:8]] == [0, 0, 1, 1]


def test_wall_clock_times_of_parquet_need_a_zone(twin: Twin, tmp_path: Path) -> None:
    path = parquet(tmp_path, "SELECT TIMESTAMP_NS '2024-07-15 10:00:00.123456789' AS time, 1.0 AS pressure")
    load(twin, path)
    assert values(twin, "pressure")[0][0] == ns("2024-07-15T08:00:00Z") + 123456789


def test_integers_that_a_float_cannot_hold_are_refused(twin: Twin, tmp_path: Path) -> None:
    path = parquet(tmp_path, "SELECT TIMESTAMPTZ '2024-01-15 10:00:00+00' AS time, 9007199254740993 AS pressure")
    assert "beyond 2^53" in load(twin, path).problems[0].reason


def test_a_torn_parquet_file_is_refused(twin: Twin, tmp_path: Path) -> None:
    path = parquet(tmp_path, "SELECT TIMESTAMPTZ '2024-01-15 10:00:00+00' AS time, 1.0 AS pressure")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidValueError, match="no Parquet file that can be read"):
        load(twin, path)


# Mistakes


def test_all_mistakes_of_a_mapping_are_told_at_once(twin: Twin, tmp_path: Path) -> None:
    path = written(tmp_path, "time,p,q,r\n2024-01-15T10:00:00Z,1,2,3\n")
    with pytest.raises(InvalidValueError) as caught:
        load(twin, path, "P=pressure", "p=presure", "q=pump.health", "r=current")
    text = str(caught.value)
    assert "there is no column 'P'" in text
    assert "presure" in text
    assert "pump.health is derived" in text
    assert twin.reading_count() == 0


@pytest.mark.parametrize(
    ("maps", "options", "words"),
    [
        (["nowhere.yaml"], {}, "neither COLUMN=SIGNAL nor a map file"),
        (["p=pressure"], {"time": "when"}, "there is no column 'when'"),
        (["p=pressure"], {"timezone": "Mars/Olympus"}, "timezone"),
        (["p=pressure"], {"delimiter": ";;"}, "delimiter"),
        (["p=pressure"], {"encoding": "klingon"}, "'klingon' is no encoding"),
        ([], {}, "no column is called like a signal"),
        (["p=pressure", "q=pressure"], {}, "are all mapped to one signal"),
    ],
)
def test_mistakes_of_the_caller(twin: Twin, tmp_path: Path, maps: list[str], options: dict, words: str) -> None:
    path = written(tmp_path, "time,p,q\n2024-01-15T10:00:00Z,1,2\n")
    with pytest.raises(InvalidValueError, match=words):
        load(twin, path, *maps, **options)


def test_files_that_are_none(twin: Twin, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="cannot be read"):
        load(twin, tmp_path / "missing.csv")
    with pytest.raises(InvalidValueError, match="is empty"):
        load(twin, written(tmp_path, "\n"))
    with pytest.raises(InvalidValueError, match="is not utf-8: say its --encoding"):
        load(twin, written(tmp_path, "time,pressure\n2024-01-15T10:00:00Z,größer\n", encoding="cp1252"))
    with pytest.raises(InvalidValueError, match="several columns called pressure"):
        load(twin, written(tmp_path, "time,pressure,pressure\n"))
    assert load(twin, written(tmp_path, "time,pressure\n")).rows == 0


# Progress and batches


def test_progress_comes_to_the_end_of_the_file(twin: Twin, tmp_path: Path) -> None:
    rows = "\n".join(f"{1705312800 + i},{i}" for i in range(35_000))
    path = written(tmp_path, f"time,pressure\n{rows}\n")
    told: list[tuple[int, int, int]] = []
    load_file(twin, path, FileMapping(), progress=lambda *numbers: told.append(numbers))
    assert len(told) == 4
    assert [rows for rows, _, _ in told] == [10_000, 20_000, 30_000, 35_000]
    size = path.stat().st_size
    assert told[-1] == (35_000, size, size)
    assert 0 < told[0][1] < size
    assert twin.reading_count() == 35_000


def test_a_load_may_be_broken_off(twin: Twin, tmp_path: Path) -> None:
    def enough(rows: int, *_: int) -> None:
        if rows >= 20_000:
            raise KeyboardInterrupt

    rows = "\n".join(f"{1705312800 + i},{i}" for i in range(35_000))
    with pytest.raises(KeyboardInterrupt):
        load_file(twin, written(tmp_path, f"time,pressure\n{rows}\n"), FileMapping(), progress=enough)
    assert twin.reading_count() == 20_000


@pytest.mark.skipif(not SKAB.exists(), reason="the SKAB data set is not beside the checkout")
def test_a_file_of_a_real_test_bed(twin: Twin) -> None:
    report = load(twin, SKAB, "Pressure=pressure", "Current=current", timezone="Europe/Moscow")
    with SKAB.open() as file:
        rows = [line.split(";") for line in file][1:]
    assert report.rows == len(rows)
    assert report.bad_rows == 0
    history = values(twin, "pressure")
    assert [value for _, value in history] == [float(row[4]) for row in rows]
    assert history[0][0] == ns("2020-03-09T07:14:33Z")
