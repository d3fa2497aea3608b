"""How a verb reaches the plant: the running service over its socket or a URL, else the data directory itself.

All three are the same application behind an httpx client, so a verb is written once.
"""

import contextlib
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import DEFAULT_DATA, SOCKET_NAME, Settings
from .twin.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    import httpx

API = "/api/v1/iotsense"
HERE = "http://localhost"
TIMEOUT_S = 10.0
LONGEST_ANSWER_S = 600.0
_ROOT = ("/health",)


@dataclass(frozen=True, slots=True)
class Target:
    """What a verb was told of where the plant is.

    moment: which instant of the plant is read. missing: what to do if there is neither a service nor a directory:
    `refuse`, `create` it, or use a `temporary` one.
    """

    data: Path = DEFAULT_DATA
    url: str | None = None
    api_key: str | None = None
    missing: str = "refuse"
    moment: Mapping[str, Any] = field(default_factory=dict)


class Connection:
    """The API as a verb uses it; every answer that is a problem is raised as its error."""

    def __init__(
        self, http: "httpx.AsyncClient", direct: Path | None = None, moment: Mapping[str, Any] | None = None
    ) -> None:
        """`direct` is the directory on which the verb works itself, because no service runs; see `Target.moment`."""
        self.http = http
        self.direct = direct
        self.moment = dict(moment or {})

    async def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path below the API's prefix, as of the instant that the verb was told."""
        given = {name: value for name, value in {**parameters, **self.moment}.items() if value is not None}
        return await self.request("GET", path, params=given)

    async def post(self, path: str, **request: Any) -> Any:
        """The JSON that a POST answers with."""
        return await self.request("POST", path, **request)

    async def request(self, method: str, path: str, **request: Any) -> Any:
        """JSON, or text where the service answers with text."""
        import httpx

        from .rest.problem import error_of

        try:
            response = await self.http.request(method, path if path in _ROOT else API + path, **request)
        except httpx.HTTPError as error:
            raise SourceError(f"no service answers at {self.http.base_url}: {error}") from error
        is_json = "json" in response.headers.get("content-type", "")
        if response.is_success:
            return response.json() if is_json else response.text
        raise error_of(response.status_code, response.json() if is_json else None)

    async def stream(self, path: str, **request: Any) -> AsyncIterator[str]:
        """The lines of text that a GET answers with, as they come."""
        import httpx

        from .rest.problem import error_of

        try:
            async with self.http.stream("GET", API + path, timeout=None, **request) as response:
                if not response.is_success:
                    body = await response.aread()
                    raise error_of(response.status_code, json.loads(body) if body.startswith(b"{") else None)
                async for text in response.aiter_lines():
                    yield text
        except httpx.HTTPError as error:
            raise SourceError(f"no service answers at {self.http.base_url}: {error}") from error

    async def raw(self, path: str) -> AsyncIterator[bytes]:
        """The bytes that a GET answers with, piece by piece."""
        import httpx

        from .rest.problem import error_of

        try:
            async with self.http.stream("GET", API + path) as response:
                if not response.is_success:
                    body = await response.aread()
                    raise error_of(response.status_code, json.loads(body) if body.startswith(b"{") else None)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise SourceError(f"no service answers at {self.http.base_url}: {error}") from error

    async def lines(self, path: str, **request: Any) -> AsyncIterator[Any]:
        """The JSON lines that a POST answers with, as they come; raises the problem that one of them tells."""
        import httpx

        from .rest.problem import error_of

        try:
            async with self.http.stream("POST", API + path, **request) as response:
                if not response.is_success:
                    body = await response.aread()
                    raise error_of(response.status_code, json.loads(body) if body.startswith(b"{") else None)
                async for text in response.aiter_lines():
                    line = json.loads(text)
                    if "problem" in line:
                        raise error_of(line["problem"]["status"], line["problem"])
                    yield line
        except httpx.HTTPError as error:
            raise SourceError(f"no service answers at {self.http.base_url}: {error}") from error


@contextlib.asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Connection]:
    """A connection to what `target` means; raises NotFoundError if there is nothing, and what opening raises."""
    import httpx

    timeout = httpx.Timeout(TIMEOUT_S, read=LONGEST_ANSWER_S)
    if target.url:
        headers = {"Authorization": f"Bearer {target.api_key}"} if target.api_key else {}
        async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=timeout) as http:
            yield Connection(http, moment=target.moment)
    elif _answers(target.data / SOCKET_NAME):
        transport = httpx.AsyncHTTPTransport(uds=str(target.data / SOCKET_NAME))
        async with httpx.AsyncClient(transport=transport, base_url=HERE, timeout=timeout) as http:
            yield Connection(http, moment=target.moment)
    else:
        async with _opened(target) as http:
            yield Connection(http, target.data, target.moment)


@contextlib.contextmanager
def sync_http(target: Target) -> "Iterator[httpx.Client | None]":
    """A client of the service that `target` means; None if none runs and the verb has the directory to itself.

    For verbs that carry files. Raises NotFoundError if there is nothing.
    """
    import httpx

    timeout = httpx.Timeout(TIMEOUT_S, read=LONGEST_ANSWER_S, write=LONGEST_ANSWER_S)
    headers = {"Authorization": f"Bearer {target.api_key}"} if target.url and target.api_key else {}
    transport = httpx.HTTPTransport(uds=str(target.data / SOCKET_NAME)) if not target.url else None
    if target.url or _answers(target.data / SOCKET_NAME):
        with httpx.Client(base_url=target.url or HERE, headers=headers, timeout=timeout, transport=transport) as http:
            yield http
    else:
        with _directory(target):
            yield None


@contextlib.asynccontextmanager
async def _opened(target: Target) -> "AsyncIterator[httpx.AsyncClient]":
    """The directory, opened for one verb, behind the application that a service would serve."""
    import httpx

    from .rest.app import build_app
    from .service import Service
    from .twin.access import LOCAL

    with _directory(target) as data:
        service = Service(Settings(data=data))
        async with service.opened() as context:
            transport = httpx.ASGITransport(build_app(context), client=(LOCAL.name, 0))
            async with httpx.AsyncClient(transport=transport, base_url=HERE, timeout=None) as http:
                yield http


@contextlib.contextmanager
def _directory(target: Target) -> Iterator[Path]:
    if target.data.is_dir() or target.missing == "create":
        yield target.data
    elif target.missing == "temporary":
        with tempfile.TemporaryDirectory(prefix="iotsense-") as empty:
            yield Path(empty)
    else:
        raise NotFoundError(
            f"there is no data directory {target.data} and no service; say --data DIR or --url URL, or start one with"
            " `iotsense run`"
        )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
