"""Histories of signals as the SDK returns them: numpy columns, or an Arrow table or pandas frame made of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .twin.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas
    import pyarrow

Moment = datetime | date | str


@dataclass(frozen=True, slots=True)
class Series:
    """One signal's readings, columns of equal length in the order of time.

    time: datetime64[ns], UTC. value: float64, or objects for texts and booleans. quality: `good`, `uncertain`, `bad`.
    With `bucket_s` [s] a row is a bucket of `count` readings: `value` is their mean, `low` and `high` their extremes.
    tier: what it was made from, the coarsest of it: raw, thinned, 1m, 1h ...; precision_s [s]: how exact times are.
    first, last, mean_over_time, good_percent: of the buckets of a tier.
    """

    signal: str
    unit: str | None
    time: NDArray[np.datetime64]
    value: NDArray[Any]
    quality: list[str]
    bucket_s: float | None = None
    tier: str = "raw"
    precision_s: float | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    count: NDArray[np.int64] | None = None
    first: NDArray[np.float64] | None = None
    last: NDArray[np.float64] | None = None
    mean_over_time: NDArray[np.float64] | None = None
    good_percent: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.time)


class Histories(Mapping[str, Series]):
    """Series by the id under which they were asked for."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self._series = dict(series)

    def __getitem__(self, id: str) -> Series:
        return self._series[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def to_arrow(self) -> "pyarrow.Table":
        """One table of all series: signal, time, value, quality; raises MissingExtraError without pyarrow.

        `value` is float64; where a series holds texts or booleans, it is text for all.
        """
        try:
            import pyarrow
        except ImportError:
            raise MissingExtraError("a history as an Arrow table", "arrow") from None
        each = list(self._series.values())
        numeric = all(series.value.dtype.kind == "f" for series in each)
        names = pyarrow.array([series.signal for series in each], pyarrow.string())
        numbers = np.repeat(np.arange(len(each)), [len(series) for series in each])
        time = np.concatenate([s.time for s in each]) if each else np.array([], dtype="datetime64[ns]")
        value: list[Any] | NDArray[Any]
        if numeric:
            value = np.concatenate([s.value for s in each]) if each else np.array([], dtype=np.float64)
        else:
            value = [None if v is None else str(v) for s in each for v in s.value.tolist()]
        return pyarrow.table(
            {
                "signal": pyarrow.DictionaryArray.from_arrays(pyarrow.array(numbers, pyarrow.int32()), names),
                "time": pyarrow.array(time.view(np.int64), pyarrow.timestamp("ns", "UTC")),
                "value": pyarrow.array(value, pyarrow.float64() if numeric else pyarrow.string()),
                "quality": pyarrow.array([q for s in each for q in s.quality], pyarrow.string()),
            }
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """A frame indexed by time with a column per signal; raises MissingExtraError without pandas."""
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("a history as a pandas frame", "pandas") from None
        columns = {
            id: pandas.Series(series.value, index=pandas.DatetimeIndex(series.time, tz="UTC", name="time"))
            for id, series in self._series.items()
        }
        return pandas.DataFrame(columns)


def moment(value: Moment | None) -> str | None:
    """A time as the service reads it; a naive one is meant in UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def series_of(pages: list[dict[str, Any]]) -> Series:
    """A series from the answers of the service."""
    first = pages[0]
    times = [text.removesuffix("Z") for page in pages for text in page["time"]]
    values = [value for page in pages for value in page["value"]]
    return Series(
        signal=first["signal"],
        unit=first["unit"],
        time=np.array(times, dtype="datetime64[ns]"),
        value=_values(values),
        quality=[quality for page in pages for quality in page["quality"]],
        bucket_s=first["bucket_s"],
        tier=first["tier"],
        precision_s=first["precision_s"],
        low=_column(pages, "low", np.float64),
        high=_column(pages, "high", np.float64),
        count=_column(pages, "count", np.int64),
        first=_column(pages, "first", np.float64),
        last=_column(pages, "last", np.float64),
        mean_over_time=_column(pages, "mean_over_time", np.float64),
        good_percent=_column(pages, "good_percent", np.float64),
    )


def _column(pages: list[dict[str, Any]], name: str, dtype: type) -> NDArray[Any] | None:
    if name not in pages[0]:
        return None
    return np.array([value for page in pages for value in page[name]], dtype=dtype)


def _values(values: list[Any]) -> NDArray[Any]:
    if any(isinstance(value, str | bool) for value in values):
        return np.array(values, dtype=object)
    return np.array(values, dtype=np.float64)
