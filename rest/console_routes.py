"""The console: a page without a build step, served from here so that it works without internet."""

from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

CONSOLE = Path(__file__).with_name("console")
POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class ConsoleFiles(StaticFiles):
    """Static files that load nothing from elsewhere and are asked for again after an update."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the page itself for `/`."""
        response = await super().get_response(path, scope)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def console_routes() -> list[BaseRoute]:
    """The page at `/` and its files; they stand last, for they take every path that nobody else took."""
    return [Mount("/", app=ConsoleFiles(directory=CONSOLE, html=True), name="console")]
