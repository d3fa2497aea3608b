"""The HTTP application of a service: REST, GraphQL and the console on one address."""

import functools
import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..graphql.app import graphql_routes
from ..twin.errors import IoTSenseError
from . import (
    assets,
    bulk,
    dead_letters,
    definitions,
    events,
    graph,
    loading,
    migration,
    nodes,
    problem,
    replay,
    reports,
    revisions,
    scenarios,
    service,
    signals,
    storage,
    stores,
    telemetry,
    twins,
)
from .answer import error_answer, json_answer, problem_answer
from .console_routes import console_routes
from .context import Context
from .endpoint import Answer, Endpoint, Operation
from .guard import Guard
from .moment import told
from .openapi import openapi
from .telemetry import TelemetryRoute

log = logging.getLogger("iotsense.rest")

REVISION = "Revision"


async def openapi_document(context: Context, request: Request) -> Response:
    """The OpenAPI document."""
    return json_answer(openapi(ENDPOINTS, context.version))


ENDPOINTS: list[Endpoint] = [
    telemetry.ENDPOINT,
    *twins.ENDPOINTS,
    *nodes.ENDPOINTS,
    *signals.ENDPOINTS,
    *events.ENDPOINTS,
    *reports.ENDPOINTS,
    *assets.ENDPOINTS,
    *graph.ENDPOINTS,
    *definitions.ENDPOINTS,
    *scenarios.ENDPOINTS,
    *revisions.ENDPOINTS,
    *replay.ENDPOINTS,
    *dead_letters.ENDPOINTS,
    *loading.ENDPOINTS,
    *bulk.ENDPOINTS,
    *stores.ENDPOINTS,
    *migration.ENDPOINTS,
    *storage.ENDPOINTS,
    *service.ENDPOINTS,
    Endpoint(
        "GET", "/openapi.json", openapi_document, "This document", (Answer("An OpenAPI 3.1 document", dict),), "service"
    ),
]


def build_app(context: Context) -> ASGIApp:
    """The application; whoever serves it opens and closes the parts of the context."""
    telemetry_route = TelemetryRoute(context)
    routes: list[BaseRoute] = [_route(endpoint, context) for endpoint in ENDPOINTS if endpoint.run is not None]
    routes.append(Route(telemetry.PATH, endpoint=telemetry_route, methods=["POST"]))
    routes += graphql_routes(context)
    routes += console_routes()
    router = Starlette(routes=routes, exception_handlers={IoTSenseError: _ours, HTTPException: _http})
    return Guard(Front(telemetry_route, router))


class Front:
    """Telemetry goes past the router: looking for a route takes longer than all else in that request."""

    def __init__(self, telemetry_route: ASGIApp, router: ASGIApp) -> None:
        self._telemetry = telemetry_route
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] == telemetry.PATH and scope["method"] == "POST":
            await self._telemetry(scope, receive, send)
        else:
            await self._router(scope, receive, send)


def _route(endpoint: Endpoint, context: Context) -> Route:
    assert endpoint.run is not None
    return Route(endpoint.path, _bound(endpoint.run, context), methods=[endpoint.method])


def _bound(run: Operation, context: Context) -> Callable[[Request], Awaitable[Response]]:
    @functools.wraps(run)
    async def bound(request: Request) -> Response:
        try:
            answer = told(request, await run(context, request))
            if request.method != "GET":
                answer.headers[REVISION] = str(context.twin.graph.revision)
            return answer
        except IoTSenseError as error:
            return error_answer(error)
        except HTTPException:
            raise
        except Exception as error:  # what nobody foresaw in one request must not become a torn connection
            return _unforeseen(request, error)

    return bound


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, IoTSenseError)
    return error_answer(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        detail = f"{request.url.path} does not take {request.method}; it takes {allowed}"
        return problem_answer(problem.document(problem.METHOD, detail), {"Allow": allowed})
    if error.status_code == 404:
        return problem_answer(problem.document(problem.NOT_FOUND, f"there is nothing at {request.url.path}"))
    kind = problem.INVALID if error.status_code < 500 else problem.ERROR
    return problem_answer(problem.document(kind, str(error.detail)) | {"status": error.status_code})


def _unforeseen(request: Request, error: Exception) -> Response:
    # Logged with its trace, and told without it.
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "an unforeseen error; the service's log has its trace"
    return problem_answer(problem.document(problem.ERROR, detail))
