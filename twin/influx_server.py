"""An InfluxDB 2 server through influxdb-client: its errors as ours, lines in, and InfluxQL's answers out.

Reading is asked in InfluxQL, which InfluxDB 2 understands beside Flux: it finds single points ten times as fast.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from .errors import MissingExtraError, StoreError, StoreRefusedError

EXTRA = "influxdb"
CONNECT_S, ANSWER_S = 10, 300
LINES, WRITERS = 20_000, 3
_REFUSALS = (400, 401, 403, 404)
# What is older than the bucket keeps is not taken, which is what retention asks for.
_TOO_OLD = "beyond retention policy"

Series = tuple[dict[str, str], list[str], list[list[Any]]]
"""Tags, columns, rows."""


@dataclass(frozen=True)
class InfluxAddress:
    """Where a bucket is. retention: how long [s] `raw` readings and aggregates are kept; what is not named, for ever.

    token: fetched at each connecting, so that a changed one needs no restart.
    """

    url: str
    bucket: str = "iotsense"
    organization: str = "iotsense"
    token: Callable[[], str | None] = field(default=lambda: None, repr=False)
    retention: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.url.partition('://')[2]}/{self.bucket}"


class InfluxServer:
    """One connection; every call blocks."""

    def __init__(self, address: InfluxAddress) -> None:
        try:
            from influxdb_client.client.influxdb_client import InfluxDBClient
            from influxdb_client.client.write_api import SYNCHRONOUS
        except ImportError:
            raise MissingExtraError("the InfluxDB store", EXTRA) from None
        self.address = address
        limits = (CONNECT_S * 1000, ANSWER_S * 1000)
        self.client: Any = InfluxDBClient(address.url, address.token() or "", org=address.organization, timeout=limits)
        self._writers = ThreadPoolExecutor(WRITERS, "influxdb")
        self._write: Any = self.client.write_api(write_options=SYNCHRONOUS)

    def write(self, lines: Iterable[str]) -> None:
        """Lines of different points, in any order; all durable when it returns. Raises StoreError."""
        with translated(str(self.address)):
            rest = iter(lines)
            blocks = iter(lambda: "\n".join(islice(rest, LINES)), "")
            # Sent while the next are made, and several at once, since the server syncs its log after each.
            for _ in self._writers.map(self._write_block, blocks):
                pass

    def _write_block(self, block: str) -> None:
        from influxdb_client.rest import ApiException

        try:
            self._write.write(self.address.bucket, record=block, write_precision="ns")
        except ApiException as error:
            if _TOO_OLD not in str(error.body):
                raise

    def ask(self, statements: Sequence[str]) -> list[list[Series]]:
        """The series that each InfluxQL statement finds. Raises StoreError."""
        with translated(str(self.address)):
            answer = self.client.api_client.call_api(
                "/query",
                "POST",
                query_params=[("db", self.address.bucket), ("epoch", "ns")],
                header_params={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                post_params=[("q", ";".join(statements))],
                response_type=None,
                auth_settings=[],
                _preload_content=False,
                _return_http_data_only=True,
                urlopen_kw={},
            )
            return [_series(result) for result in orjson.loads(answer.data)["results"]]

    def close(self) -> None:
        """Lets the connection go."""
        self._writers.shutdown()
        self._write.close()
        self.client.close()


def _series(result: dict[str, Any]) -> list[Series]:
    if "error" in result:
        raise StoreError(f"InfluxDB: {result['error']}")
    return [(found.get("tags", {}), found["columns"], found["values"]) for found in result.get("series", [])]


@contextlib.contextmanager
def translated(address: str) -> Iterator[None]:
    """The errors of influxdb-client, and of urllib3 below it, as ours."""
    try:
        from influxdb_client.client.exceptions import InfluxDBError
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError
    except ImportError:
        raise MissingExtraError("the InfluxDB store", EXTRA) from None
    try:
        yield
    except (ApiException, InfluxDBError) as error:
        refused = getattr(error, "status", None) in _REFUSALS
        raise (StoreRefusedError if refused else StoreError)(f"InfluxDB at {address}: {_words(error)}") from error
    except (HTTPError, OSError) as error:
        raise StoreError(f"InfluxDB at {address} cannot be reached: {error}") from error


def _words(error: Any) -> str:
    """What the server said, without the headers that the library adds."""
    body = getattr(error, "body", None) or getattr(error, "message", None) or str(error)
    with contextlib.suppress(ValueError, AttributeError):
        told = orjson.loads(body)
        body = f"{told['code']}: {told['message']}" if "code" in told else body
    status = getattr(error, "status", None)
    return f"{status} {getattr(error, 'reason', '')}: {body}" if status else str(body)
