"""`for_each` as the schema knows it; `for_each.py` writes it out before definitions are validated."""

from typing import Annotated

from pydantic import Field, JsonValue

from .define_types import Count, Model


class Range(Model):
    """Whole numbers, the first and the last among them."""

    range: Annotated[list[int], Field(min_length=2, max_length=2)]
    """The first and the last number."""
    step: Count = 1
    """From each number to the next."""


ForEach = Range | list[JsonValue] | Annotated[str, Field(pattern=r"^\$\{.+\}$")]


class Repeatable(Model):
    """An entry of a list that may stand for many."""

    for_each: ForEach | None = None
    """One entry for each of these: a list, or `{range: [1, 40]}`. `${each}`, `${each.name}` and `${index}` differ."""
