"""GraphQL at /graphql: over HTTP, server-sent events and WebSocket, and GraphiQL for whoever opens it in a browser."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from cross_web import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import SubscribeMessage
from strawberry.types import ExecutionResult
from strawberry.types.unset import UnsetType

from graphql import GraphQLError

from ..twin.access import acting_for
from ..twin.errors import IoTSenseError
from .context import HISTORY_READERS, Context, Request
from .event_stream import EventStream, alone, until
from .options import DEFAULTS, Options
from .safelist import asked_text
from .schema import schema

PATH = "/graphql"
GRAPHIQL = Path(__file__).with_name("graphiql")
# GraphiQL sets styles from its scripts and carries its fonts inside its style sheet; nothing comes from elsewhere.
GRAPHIQL_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class PersistedHandler(BaseGraphQLTransportWSHandler[Request, None]):
    """Strawberry's handler of a WebSocket, which knows the hashes of texts, too."""

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begins an operation."""
        payload = message["payload"]
        safelist = self.context.options.safelist if isinstance(self.context, Request) else None
        try:
            text = asked_text(safelist, payload.get("query"), payload.get("extensions"))
        except GraphQLError as error:
            await self.send_message({"id": message["id"], "type": "error", "payload": [error.formatted]})
            return
        if text is not None:
            payload["query"] = text
        await super().handle_subscribe(message)

    async def handle_task_exception(self, error: Exception) -> None:
        """Tells the log. Who goes away while something is said to it is no trouble of ours."""
        if not isinstance(error, WebSocketDisconnected):
            await super().handle_task_exception(error)


class Application(GraphQL[Request, None]):
    """Strawberry's application with our context, JSON and GraphiQL."""

    graphql_transport_ws_handler_class = PersistedHandler
    stream_transport_classes_by_protocol = MappingProxyType({GRAPHQL_SSE_PROTOCOL: EventStream})

    def __init__(self, context: Context, options: Options = DEFAULTS) -> None:
        super().__init__(schema, subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL))
        self._service = context
        self._options = options
        self._readers = asyncio.Semaphore(HISTORY_READERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Who goes away while something is said to it is no trouble of ours."""
        with suppress(WebSocketDisconnect):
            await super().__call__(scope, receive, send)

    async def get_context(self, request: HttpRequest | WebSocket, response: Response | WebSocket) -> Request:
        """What the resolvers get."""
        origin = request.client.host if request.client is not None and request.client.host else "this machine's socket"
        principal = acting_for(request.scope)
        seen = self._service.seen_by(principal)
        streams = self.is_websocket_request(request) or bool(self._get_stream_transport_from_headers(request.headers))
        return Request(seen, self._readers, origin=origin, principal=principal, options=self._options, streams=streams)

    async def on_ws_connect(self, context: Request) -> UnsetType | dict[str, object] | None:
        """Lets a browser, which cannot set headers, say who it is: `{"authorization": "Bearer KEY"}`."""
        said = {name.lower(): value for name, value in (context.connection_params or {}).items()}
        if "authorization" in said:
            try:
                context.principal = await self._service.proven_by(str(said["authorization"]), context.origin)
            except IoTSenseError as error:
                raise ConnectionRejectionError({"message": str(error)}) from None
            context.service = self._service.seen_by(context.principal)
        return await super().on_ws_connect(context)

    async def execute_operation(self, *arguments: Any, **named: Any) -> Any:
        """What a request asks, in words or by the hash of the words: one answer, or a stream of them."""
        asked = named["request_data"]
        try:
            text = asked_text(self._options.safelist, asked.query, asked.extensions)
        except GraphQLError as error:
            refused = ExecutionResult(data=None, errors=[error])
            return refused if self._get_stream_transport(asked.protocol) is None else alone(refused)
        return await super().execute_operation(*arguments, **named | {"request_data": replace(asked, query=text)})

    async def create_streaming_response(
        self,
        request: HttpRequest | WebSocket,
        stream: Callable[[], AsyncIterator[str]],
        sub_response: Response,
        headers: Mapping[str, str],
    ) -> Response:
        """A stream of answers, which ends with the service."""
        return await super().create_streaming_response(
            request, lambda: until(stream(), self._service.stopping), sub_response, headers
        )

    def encode_json(self, data: object) -> str:
        """Text, not bytes: bytes would go out as binary frames, which the protocol does not know."""
        return orjson.dumps(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """JSON of a request or a frame."""
        return orjson.loads(data)

    def parse_json(self, data: str | bytes) -> object:
        """A request's body; whatever else JSON can say is refused, and not tripped over."""
        body = super().parse_json(data)
        for each in body if isinstance(body, list) else [body]:
            if not isinstance(each, dict):
                raise HTTPException(400, "A GraphQL request is an object with a query")
        return body

    async def render_graphql_ide(self, request: HttpRequest) -> Response:
        """GraphiQL's page."""
        return FileResponse(
            GRAPHIQL / "index.html",
            headers={"Content-Security-Policy": GRAPHIQL_POLICY, "Cache-Control": "no-cache"},
        )


def graphql_routes(context: Context, options: Options = DEFAULTS) -> list[BaseRoute]:
    """The routes to mount at the root of an application."""
    if options.safelist is not None:
        options.safelist.warn(schema._schema)
    application = Application(context, options)
    return [
        Route(PATH, endpoint=application, methods=["GET", "POST"], name="graphql"),
        WebSocketRoute(PATH, endpoint=application, name="graphql-ws"),
        Mount(f"{PATH}/ide", app=StaticFiles(directory=GRAPHIQL), name="graphiql"),
    ]
