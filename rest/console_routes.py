"""The console: one page at / and its parts, served from this package, asking nothing of any other host."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .answer import known_tag

CONSOLE = Path(__file__).with_name("console")
# Told here and not by the machine: its registry of types may be wrong, and a browser refuses a module without type.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
FOR_OTHER_PAGES = ("iotsense-stream.js", "iotsense-stream.d.ts")
"""What pages of other hosts may import."""
REVALIDATE = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file with the headers that go with it."""

    body: bytes
    media_type: str
    tag: str
    caching: str


def assets(folder: Path = CONSOLE) -> dict[str, Asset]:
    """All files of the console by path; those under vendor/ bear their version in the name and never change."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix in TYPES:
            body = file.read_bytes()
            path = file.relative_to(folder).as_posix()
            caching = FOR_EVER if path.startswith("vendor/") else REVALIDATE
            found[path] = Asset(body, TYPES[file.suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"', caching)
    return found


def console_routes(context: object = None) -> list[BaseRoute]:
    """The routes of the page and its parts."""
    files = assets()

    async def page(request: Request) -> Response:
        return _answer(request, files["index.html"])

    async def part(request: Request) -> Response:
        asset = files.get(request.path_params["path"])
        if asset is None:
            return Response("no such file", 404, media_type="text/plain")
        answer = _answer(request, asset)
        if request.path_params["path"] in FOR_OTHER_PAGES:
            answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    return [Route("/", page, name="console"), Route("/console/{path:path}", part, name="console-part")]


def _answer(request: Request, asset: Asset) -> Response:
    headers = {**HEADERS, "ETag": asset.tag, "Cache-Control": asset.caching}
    if (known := known_tag(request, asset.tag)) is not None:
        return Response(status_code=304, headers=headers | {"ETag": known})
    return Response(asset.body, headers=headers, media_type=asset.media_type)
