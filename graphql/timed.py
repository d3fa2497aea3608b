"""Times in nanoseconds, beside those in ISO 8601: for programs that calculate with them."""

from collections.abc import Callable
from typing import Any, TypeVar

from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from ..twin.state import NEVER
from .field import field
from .scalars import Instants, TextColumn, Time, TimeColumn

T = TypeVar("T")

_BESIDE: dict[Any, Any] = {Time: str, Time | None: str | None, TimeColumn: TextColumn}


def timed(cls: type[T]) -> type[T]:
    """Gives each time of an output type one in nanoseconds: `time` gets `timeNs`. To stand below `strawberry.type`."""
    annotations: dict[str, Any] = {}
    for name, kind in _kinds(cls).items():
        if name in cls.__annotations__:
            annotations[name] = kind
        if (beside := _BESIDE.get(kind)) is not None:
            annotations[f"{name}_ns"] = beside
            setattr(cls, f"{name}_ns", field(_reader(name, beside, _waits(cls, name))))
    cls.__annotations__ = annotations
    return cls


def _kinds(cls: type) -> dict[str, Any]:
    """What stands in the type's fields, those with resolvers last."""
    resolved = {
        name: each.base_resolver.signature.return_annotation
        for name, each in vars(cls).items()
        if isinstance(each, StrawberryField) and each.base_resolver
    }
    return cls.__annotations__ | {name: kind for name, kind in resolved.items() if name not in cls.__annotations__}


def _waits(cls: type, name: str) -> bool:
    """Whether the field's resolver is a coroutine."""
    resolved = vars(cls).get(name)
    return isinstance(resolved, StrawberryField) and resolved.is_async


def _reader(name: str, kind: Any, waits: bool) -> Callable[[Any], Any]:
    def read(self: Any) -> Any:
        value = getattr(self, name)
        return _text(value() if callable(value) else value)

    async def wait(self: Any) -> Any:
        return _text(await getattr(self, name)())

    reader = wait if waits else read
    reader.__annotations__ = {"return": kind}
    reader.__doc__ = f"`{to_camel_case(name)}` in nanoseconds since 1970."
    return reader


def _text(value: Any) -> Any:
    if isinstance(value, Instants):
        return [None if time == NEVER else str(time) for time in value.ns]
    return None if value is None else str(value)
