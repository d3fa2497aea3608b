"""Commands as they stand."""

import asyncio

import strawberry

from ..twin import commanded
from ..twin.command import CommandState
from .command_type import Command
from .moment import plant_field
from .node_type import check_first
from .view import View


@strawberry.type
class CommandQuery:
    @plant_field
    async def commands(
        self, view: View, signal: strawberry.ID | None = None, state: CommandState | None = None, first: int = 100
    ) -> list[Command]:
        """Who set what, when, and what came of it; the newest first."""
        check_first(first)
        index = None if signal is None else view.graph.find_signal(signal).index
        found = await asyncio.to_thread(commanded.commands, view.plant, index, state, first)
        return [Command.of(view, each) for each in found]

    @plant_field
    async def command(self, view: View, id: strawberry.ID) -> Command | None:
        """One command."""
        return Command.of(view, await asyncio.to_thread(commanded.command, view.plant, id))
