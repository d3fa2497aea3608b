"""Compiled lists say to the letter what graphql-core's own execution says: values, nulls, errors and their places."""

import asyncio
import enum
import math
import random
import secrets
from pathlib import Path
from typing import Any

import pytest
import strawberry
from facade_fixtures import Context, breach, build, put
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as PlainExecutor

from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLScalarType
from iotsense.graphql.compiled import CompilingExecutor
from iotsense.graphql.context import Request
from iotsense.graphql.schema import make_schema
from iotsense.twin.access import Principal as Whom
from iotsense.twin.access import Role
from iotsense.twin.twin import Twin

ROUNDS = 60


class Questions:
    """Random questions to a schema: aliases, fragments, directives and variables included."""

    def __init__(self, schema: Any, chance: random.Random, without: frozenset[str] = frozenset()) -> None:
        self._schema = schema._schema
        self._chance = chance
        self._without = without
        self._fragments: list[str] = []

    def ask(self, root: str, type_name: str) -> str:
        """A question for the list `root` of objects of a type."""
        self._fragments = []
        self._conditional = self._chance.random() < 0.5  # what was made of the others is used again
        inner = self._selection(self._schema.type_map[type_name], 3)
        asked = root.replace("SELECTION", inner)
        if not self._conditional:
            return f"{{ {asked} }} {' '.join(self._fragments)}"
        used = "y: __typename @include(if: $yes) n: __typename @skip(if: $no)"
        return f"query Q($yes: Boolean!, $no: Boolean!) {{ {used} {asked} }} {' '.join(self._fragments)}"

    def _selection(self, type_: GraphQLObjectType, depth: int) -> str:
        chance, names = self._chance, [n for n in type_.fields if n not in self._without]
        parts = [self._field(type_, chance.choice(names), depth) for _ in range(chance.randint(1, 6))]
        parts = [part for part in parts if part] or ["__typename"]
        if chance.random() < 0.3:
            cut = chance.randint(0, len(parts))
            rest = " ".join(parts[cut:]) or "__typename"
            parts = [*parts[:cut], f"... on {type_.name}{self._directive()} {{ {rest} }}"]
        if chance.random() < 0.2:
            name = f"F{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {type_.name} {{ {' '.join(parts)} }}")
            return f"{{ ...{name}{self._directive()} __typename }}"
        return f"{{ {' '.join(parts)} }}"

    def _field(self, type_: GraphQLObjectType, name: str, depth: int) -> str:
        field = type_.fields[name]
        if any(argument.type.__class__ is GraphQLNonNull for argument in field.args.values()):
            return ""
        inner: Any = field.type
        while isinstance(inner, (GraphQLNonNull, GraphQLList)):
            inner = inner.of_type
        # No two fields of one name may differ in what they select: each has an alias of its own.
        alias = f"a{self._chance.randrange(10**9)}: " if self._chance.random() < 0.5 else ""
        if isinstance(inner, (GraphQLScalarType, GraphQLEnumType)):
            return f"{alias}{name}{self._directive()}"
        if depth == 0 or not isinstance(inner, GraphQLObjectType):
            return ""
        return f"a{self._chance.randrange(10**9)}: {name}{self._directive()} {self._selection(inner, depth - 1)}"

    def _directive(self) -> str:
        if not self._conditional or self._chance.random() > 0.25:
            return ""
        condition = self._chance.choice(("$yes", "$no", "true", "false"))
        return f" @{self._chance.choice(('skip', 'include'))}(if: {condition})"


async def answer(schema: Any, question: str, context: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Data, and the errors as words and places."""
    result = await schema.execute(question, {"yes": True, "no": False}, context_value=context)
    errors = [(str(error.message), error.path) for error in result.errors or []]
    return result.data, sorted(errors, key=str)


async def agree(plain: Any, compiled: Any, question: str, context: Any, seed: int) -> tuple[bool, int]:
    """Both say the same; whether there were data, and how many errors."""
    expected = await answer(plain, question, context())
    for _ in range(2):
        assert repr(await answer(compiled, question, context())) == repr(expected), f"seed {seed}: {question}"
    return expected[0] is not None, len(expected[1])


# The plant


@pytest.fixture
def twin(tmp_path: Path) -> Any:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        put(twin, "line_1.conveyor.speed", 1.5, math.nan)
        put(twin, "line_1.conveyor.motor_temp", 91.5, quality=64)
        put(twin, "line_1.conveyor.jam", 1.0)
        put(twin, "line_1.conveyor.health", 35.0)
        put(twin, "line_1.robot.joints.value[0]", 12.0)
        put(twin, "line_2.conveyor.speed", math.inf)
        breach(twin, "line_1.conveyor.motor_temp", "critical")
        yield twin


@pytest.mark.parametrize("under", [None, "line_1"])
async def test_questions_to_the_plant(twin: Twin, under: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = secrets.randbits(32)
    whom = Whom("key k", Role.VIEWER.scopes, None if under is None else frozenset({twin.graph.find(under).key}))
    at_once = _counted(monkeypatch)

    def context() -> Request:
        return Request(Context(twin).seen_by(whom), asyncio.Semaphore(4), principal=whom)

    plain, compiled = make_schema(PlainExecutor), make_schema()
    # How old an anomaly is differs from one moment to the next.
    questions = Questions(compiled, random.Random(seed), frozenset({"duration", "events", "anomalies"}))
    answered = 0
    for _ in range(ROUNDS):
        question = questions.ask("nodes(first: 50) { nodes SELECTION }", "Node")
        answered += (await agree(plain, compiled, question, context, seed))[0]
    assert answered > ROUNDS / 2
    assert at_once[True] > ROUNDS / 4, "most questions of plain fields are completed at once"


def _counted(monkeypatch: pytest.MonkeyPatch) -> dict[bool, int]:
    counts = {True: 0, False: 0}
    compiled = CompilingExecutor._compiled

    def counting(self: CompilingExecutor, item_type: Any, details: Any) -> Any:
        found = compiled(self, item_type, details)
        counts[found is not None] += 1
        return found

    monkeypatch.setattr(CompilingExecutor, "_compiled", counting)
    return counts


# Everything that can go wrong


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


def _chosen(self: "Thing", *values: Any) -> Any:
    """By the thing's number: mostly the first, a usual one."""
    value = values[self.number % len(values)]
    if isinstance(value, Exception):
        raise value
    return value


@strawberry.type
class Thing:
    number: int
    label: str
    maybe: str | None
    ratio: float
    flag: bool
    colour: Colour
    tags: list[str]
    holes: list[str | None] | None

    @strawberry.field
    def failing(self) -> str | None:
        return str(_chosen(self, "fine", "fine", ValueError("it failed")))

    @strawberry.field
    def failing_hard(self) -> str:
        return str(_chosen(self, "fine", "fine", "fine", "fine", ValueError("it failed hard")))

    @strawberry.field
    def large(self) -> int:
        return int(_chosen(self, 1, 2**31 - 1, -(2**31) + 1, 5, 2**40))

    @strawberry.field
    def number_of_sorts(self) -> float:
        return _chosen(self, 1.5, 2, True, 1e308)

    @strawberry.field
    def not_a_number(self) -> float | None:
        return _chosen(self, 1.0, math.nan, None)

    @strawberry.field
    def wrong_colour(self) -> Colour | None:
        return _chosen(self, Colour.GREEN, None, "blue")

    @strawberry.field
    def wrong_list(self) -> list[str] | None:
        return _chosen(self, ["a"], None, ("b", "c"), [None], 5)

    @strawberry.field
    def none_where_there_must_be(self) -> int:
        return _chosen(self, 1, 2, 3, None)

    @strawberry.field
    async def awaited(self) -> int:
        return self.number

    @strawberry.field
    def parted(self, at: int = 1) -> str:
        return self.label[at:]

    @strawberry.field
    def told(self, info: strawberry.Info) -> str:
        return info.field_name

    @strawberry.field
    def inner(self) -> "Thing | None":
        return None if self.number % 3 == 0 else thing(self.number - 1)

    @strawberry.field
    def parts(self) -> "list[Thing]":
        return [thing(number) for number in range(self.number % 3)]

    @strawberry.field
    def rows(self) -> "list[list[Thing | None]]":
        return [[thing(0), None], []]


def thing(number: int) -> Thing:
    return Thing(
        number=number,
        label=f"thing {number}",
        maybe=None if number % 2 else "there",
        ratio=number / 3,
        flag=bool(number % 2),
        colour=Colour.RED,
        tags=["x"] * (number % 3),
        holes=None if number % 4 == 0 else ["y", None],
    )


@strawberry.type
class Root:
    @strawberry.field
    def things(self, count: int = 7) -> list[Thing]:
        return [thing(number) for number in range(count)]

    @strawberry.field
    def some(self) -> list[Thing | None] | None:
        return [thing(1), None, thing(2)]

    @strawberry.field
    def grid(self) -> list[list[Thing]]:
        return [[thing(1), thing(3)], [], [thing(5)]]


async def test_questions_to_what_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = secrets.randbits(32)
    at_once = _counted(monkeypatch)
    plain = strawberry.Schema(Root, execution_context_class=PlainExecutor)
    compiled = strawberry.Schema(Root, execution_context_class=CompilingExecutor)
    for schema in (plain, compiled):  # what goes wrong is no news for the log
        monkeypatch.setattr(schema, "process_errors", lambda *_: None)
    questions = Questions(compiled, random.Random(seed))
    answered = errors = 0
    for number in range(4 * ROUNDS):
        root = ("things SELECTION", "some SELECTION", "grid SELECTION")[number % 3]
        whole, wrong = await agree(plain, compiled, questions.ask(root, "Thing"), lambda: None, seed)
        answered, errors = answered + whole, errors + wrong
    assert answered > ROUNDS and errors > ROUNDS and at_once[True] > ROUNDS
