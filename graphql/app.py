"""GraphQL over HTTP and WebSocket at /graphql, and GraphiQL, served from here, for whoever opens it in a browser."""

import asyncio
from pathlib import Path

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from .context import HISTORY_READERS, Context, Request
from .schema import schema

PATH = "/graphql"
GRAPHIQL = Path(__file__).with_name("graphiql")
# GraphiQL sets styles from its scripts and carries its fonts inside its style sheet; nothing comes from elsewhere.
GRAPHIQL_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class Application(GraphQL[Request, None]):
    """Strawberry's application with our context, JSON and GraphiQL."""

    def __init__(self, context: Context) -> None:
        super().__init__(schema, subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,))
        self._service = context
        self._readers = asyncio.Semaphore(HISTORY_READERS)

    async def get_context(self, request: HttpRequest | WebSocket, response: Response | WebSocket) -> Request:
        """What the resolvers get."""
        return Request(self._service, self._readers)

    def encode_json(self, data: object) -> str:
        """Text, not bytes: bytes would go out as binary frames, which the protocol does not know."""
        return orjson.dumps(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """JSON of a request or a frame."""
        return orjson.loads(data)

    async def render_graphql_ide(self, request: HttpRequest) -> Response:
        """GraphiQL's page."""
        return FileResponse(
            GRAPHIQL / "index.html",
            headers={"Content-Security-Policy": GRAPHIQL_POLICY, "Cache-Control": "no-cache"},
        )


def graphql_routes(context: Context) -> list[BaseRoute]:
    """The routes to mount at the root of an application."""
    application = Application(context)
    return [
        Route(PATH, endpoint=application, methods=["GET", "POST"], name="graphql"),
        WebSocketRoute(PATH, endpoint=application, name="graphql-ws"),
        Mount(f"{PATH}/ide", app=StaticFiles(directory=GRAPHIQL), name="graphiql"),
    ]
