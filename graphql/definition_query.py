"""The definitions that govern the plant."""

import asyncio

import strawberry
from strawberry.scalars import JSON

from ..twin.definition_tag import definition_tag
from ..twin.export_definition import export
from .field import field
from .moment import plant_field
from .scalars import Long
from .view import View


@strawberry.type(description="All that is defined.")
class Definition:
    view: strawberry.Private[View]

    @field
    def revision(self) -> Long:
        """The structure's revision."""
        return Long(self.view.graph.revision)

    @field
    async def tag(self) -> str:
        """Another text as soon as anything that is defined is; what is discovered does not change it."""
        return await asyncio.to_thread(definition_tag, self.view.graph)

    @field
    def sections(self) -> JSON:
        """The applied sections that are no nodes, by name."""
        return JSON(self.view.graph.definition)

    @field
    async def text(self) -> str:
        """All of it as one document in YAML, which `applyDefinition` takes."""
        return await asyncio.to_thread(export, self.view.graph)


@strawberry.type
class DefinitionQuery:
    @plant_field
    def definition(self, view: View) -> Definition | None:
        """What is defined."""
        return Definition(view=view)
