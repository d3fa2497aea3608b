"""What may stand where: the keys of the mapping that a location of pydantic's leads to."""

import functools
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .define_project import Project
from .define_types import Model
from .document import Items, Mapping, Step


@functools.lru_cache(maxsize=1024)
def keys_of(kind: Any) -> tuple[str, ...]:
    """The keys that a model has; none if the kind is no model."""
    kind = _bare(kind)
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        return ()
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def follow(tree: Mapping, location: Iterable[int | str]) -> tuple[list[Step], Any]:
    """The trail of a location, and the kind of the mapping or list that its last part is looked up in.

    A location has more parts than the tree: the tag of each union that it passes.
    """
    steps: list[Step] = []
    kind: Any = Project
    holder: Any = Project
    current: Any = tree
    for part in location:
        holder, tagged = kind, _is_union(kind)
        kind = _step(kind, part)
        if tagged and kind is not None:
            continue
        known = isinstance(current, Mapping) and part in current
        if known or (isinstance(current, Items) and isinstance(part, int) and part < len(current)):
            steps.append((current, part))
            current = current[part]
    return steps, holder


def _is_union(kind: Any) -> bool:
    return get_origin(_bare(kind)) in (Union, types.UnionType)


def _bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


def _step(kind: Any, part: int | str) -> Any:
    kind = _bare(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return arguments[0]
    if origin is dict:
        return arguments[1]
    if origin in (Union, types.UnionType):
        return next((member for member in arguments if _bears_tag(_bare(member), part)), None)
    if isinstance(kind, type) and issubclass(kind, Model):
        for name, field in kind.model_fields.items():
            if part == (field.alias or name):
                return field.annotation
    return None


def _bears_tag(kind: Any, tag: int | str) -> bool:
    if not (isinstance(kind, type) and issubclass(kind, Model)):
        return False
    literals = (field.annotation for field in kind.model_fields.values() if get_origin(field.annotation) is Literal)
    return any(get_args(literal) == (tag,) for literal in literals)
