"""The peer of bench_graphql: the same nodes from plain Strawberry, as its documentation has it, on the same server."""

import json
import socket
import sys
from pathlib import Path

import strawberry
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL


@strawberry.type
class Node:
    id: strawberry.ID
    name: str
    level: str
    type: str
    short_id: str


@strawberry.type
class Page:
    nodes: list[Node]


def schema(nodes: list[Node]) -> strawberry.Schema:
    """Questions for nodes that are in memory already."""

    @strawberry.type
    class Query:
        @strawberry.field
        def nodes(self, first: int) -> Page:
            return Page(nodes=nodes[:first])

    return strawberry.Schema(Query)


async def serve(found: list[Node], port: int) -> None:
    """Serves the nodes."""
    app = Starlette(routes=[Route("/graphql", endpoint=GraphQL(schema(found)), methods=["GET", "POST"])])
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, http="httptools", log_level="warning", lifespan="off", access_log=False)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(serve([Node(**each) for each in json.loads(Path(sys.argv[1]).read_text())], int(sys.argv[2])))
