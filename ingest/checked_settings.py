"""Settings that are given by hand, as a definition would have them."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..twin.errors import InvalidValueError

M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], given: dict[str, Any]) -> M:
    """A part of a definition; raises InvalidValueError that names what is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidValueError(f"{where}: {first['msg']}" if where else first["msg"], where or None) from None
