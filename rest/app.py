"""The HTTP application of a service: REST, GraphQL and the console on one address."""

import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ..graphql.app import PATH as GRAPHQL
from ..graphql.app import graphql_routes
from ..twin.access import acting_for
from ..twin.errors import InvalidValueError, IoTSenseError
from . import (
    anomalies,
    assets,
    audit,
    bulk,
    commands,
    dead_letters,
    definitions,
    events,
    explain,
    graph,
    keys,
    line_protocol,
    loading,
    migration,
    nodes,
    problem,
    publishing,
    replay,
    reporting,
    reports,
    revisions,
    scenarios,
    service,
    session,
    signals,
    sources,
    storage,
    stores,
    stream,
    telemetry,
    twins,
)
from .answer import error_answer, json_answer, problem_answer
from .authentication import Authentication
from .body import bounded
from .compression import Compression
from .console_routes import console_routes
from .context import Context
from .endpoint import Answer, Endpoint, Operation
from .guard import Guard
from .headers import CrossOrigin, SecurityHeaders
from .moment import told
from .once import once
from .openapi import openapi
from .recorded import recorded
from .refusals import Refusals
from .scopes import check
from .telemetry import TelemetryRoute

log = logging.getLogger("iotsense.rest")

REVISION = "Revision"


async def openapi_document(context: Context, request: Request) -> Response:
    """The OpenAPI document."""
    return json_answer(openapi(ENDPOINTS, context.version))


ENDPOINTS: list[Endpoint] = [
    telemetry.ENDPOINT,
    *line_protocol.ENDPOINTS,
    *twins.ENDPOINTS,
    *nodes.ENDPOINTS,
    *signals.ENDPOINTS,
    *commands.ENDPOINTS,
    *events.ENDPOINTS,
    *anomalies.ENDPOINTS,
    *reports.ENDPOINTS,
    *assets.ENDPOINTS,
    *graph.ENDPOINTS,
    *definitions.ENDPOINTS,
    *scenarios.ENDPOINTS,
    *revisions.ENDPOINTS,
    *replay.ENDPOINTS,
    *dead_letters.ENDPOINTS,
    *keys.ENDPOINTS,
    *audit.ENDPOINTS,
    *session.ENDPOINTS,
    *loading.ENDPOINTS,
    *bulk.ENDPOINTS,
    *stores.ENDPOINTS,
    *publishing.ENDPOINTS,
    *migration.ENDPOINTS,
    *storage.ENDPOINTS,
    *reporting.ENDPOINTS,
    *sources.ENDPOINTS,
    *explain.ENDPOINTS,
    *service.ENDPOINTS,
    Endpoint(
        "GET", "/openapi.json", openapi_document, "This document", (Answer("An OpenAPI 3.1 document", dict),), "service"
    ),
]


def build_app(context: Context, origins: Collection[str] = ()) -> ASGIApp:
    """The application; whoever serves it opens and closes the parts of the context. Pages of `origins` may use it."""
    busy: dict[str, ASGIApp] = {
        telemetry.PATH: TelemetryRoute(context),
        line_protocol.V1: line_protocol.WriteRoute(context, "db"),
        line_protocol.V2: line_protocol.WriteRoute(context, "bucket"),
    }
    routes: list[BaseRoute] = [_route(endpoint, context) for endpoint in ENDPOINTS if endpoint.run is not None]
    routes += [Route(path, endpoint=route, methods=["POST"]) for path, route in busy.items()]
    routes.append(WebSocketRoute(stream.PATH, stream.StreamRoute(context)))
    routes += graphql_routes(context, context.graphql)
    routes += console_routes()
    router = Starlette(routes=routes, exception_handlers={IoTSenseError: _ours, HTTPException: _http})
    application = Authentication(Front(busy, Compression(router), context.max_body), lambda: context.authenticators)
    guard = Guard(application, lambda: any(each.required for each in context.authenticators), origins)
    guarded = SecurityHeaders(CrossOrigin(guard, origins) if origins else guard)
    return Refusals(guarded, context)


class Front:
    """Readings go past the router: looking for a route takes longer than all else in those requests."""

    def __init__(self, busy: Mapping[str, ASGIApp], router: ASGIApp, max_body: int) -> None:
        self._busy = busy
        self._max_body = max_body
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] in self._busy and scope["method"] == "POST":
            await self._busy[scope["path"]](scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == GRAPHQL:
            # Strawberry would read any body to its end.
            await self._router(scope, bounded(receive, self._max_body), send)
        else:
            await self._router(scope, receive, send)


def _route(endpoint: Endpoint, context: Context) -> Route:
    assert endpoint.run is not None
    return Route(endpoint.path, _bound(endpoint, endpoint.run, context), methods=[endpoint.method])


def _bound(endpoint: Endpoint, run: Operation, context: Context) -> Callable[[Request], Awaitable[Response]]:
    run = once(endpoint, _revised(context, recorded(endpoint, run)))

    @functools.wraps(run)
    async def bound(request: Request) -> Response:
        try:
            principal = acting_for(request.scope)
            check(endpoint, principal)
            answer = told(request, await run(context.seen_by(principal), request))
            if endpoint.retirement is not None:
                answer.headers.update(endpoint.retirement.headers)
            return answer
        except IoTSenseError as error:
            return error_answer(error)
        except HTTPException:
            raise
        except RecursionError:
            return error_answer(InvalidValueError("the body is nested too deep"))
        except Exception as error:  # what nobody foresaw in one request must not become a torn connection
            return _unforeseen(request, error)

    return bound


def _revised(context: Context, run: Operation) -> Operation:
    """The operation; if it writes, its answer says which revision a read has to wait for."""

    @functools.wraps(run)
    async def operation(seen: Context, request: Request) -> Response:
        answer = await run(seen, request)
        if request.method != "GET":
            answer.headers[REVISION] = str(context.twin.graph.revision)
        return answer

    return operation


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, IoTSenseError)
    return error_answer(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted(_allowed(request) or (error.headers or {}).get("Allow", "GET, HEAD").split(", ")))
        detail = f"{request.url.path} does not take {request.method}; it takes {allowed}"
        return problem_answer(problem.document(problem.METHOD, detail), {"Allow": allowed})
    if error.status_code == 404:
        return problem_answer(problem.document(problem.NOT_FOUND, f"there is nothing at {request.url.path}"))
    kind = problem.INVALID if error.status_code < 500 else problem.ERROR
    return problem_answer(problem.document(kind, str(error.detail)) | {"status": error.status_code})


def _allowed(request: Request) -> set[str]:
    """The methods of a path: of all its routes, and where it stands there literally, of no others that fit it, too."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    fitting = [route for route in routes if route.path_regex.match(request.url.path)]
    paths = [route.path for route in fitting]
    path = request.url.path if request.url.path in paths else next(iter(paths), None)
    return {method for route in fitting if route.path == path for method in route.methods or ()}


def _unforeseen(request: Request, error: Exception) -> Response:
    # Logged with its trace, and told without it.
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "an unforeseen error; the service's log has its trace"
    return problem_answer(problem.document(problem.ERROR, detail))
