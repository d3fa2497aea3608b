"""Parameters of a query, read with words for whoever got one wrong."""

from collections.abc import Iterable
from typing import TypeVar

from starlette.requests import Request

from ..twin.errors import InvalidValueError
from ..twin.times import parse_time

T = TypeVar("T", bound=str)


def whole(request: Request, name: str, default: int, *, low: int = 0, high: int = 2**53) -> int:
    """A whole number between `low` and `high`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        raise InvalidValueError(f"{name} must be a whole number, not {text!r}", name) from None
    if not low <= number <= high:
        raise InvalidValueError(f"{name} must be between {low} and {high}, not {number}", name)
    return number


def real(request: Request, name: str, default: float, *, low: float, high: float) -> float:
    """A number between `low` and `high`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        raise InvalidValueError(f"{name} must be a number, not {text!r}", name) from None
    if not low <= number <= high:
        raise InvalidValueError(f"{name} must be between {low:g} and {high:g}, not {number:g}", name)
    return number


def flag(request: Request, name: str, default: bool = False) -> bool:
    """`true` or `false`; the bare name means true."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.lower() in ("true", "1", "yes", ""):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise InvalidValueError(f"{name} must be true or false, not {text!r}", name)


def instant(request: Request, name: str) -> int | None:
    """A time in ISO 8601 as ns; None if it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space, in every client of the world.
        return parse_time(text.replace(" ", "+") if text.rfind(" ") > 10 else text)
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {error}", name) from None


def choice(request: Request, name: str, words: Iterable[T]) -> T | None:
    """One of some words; None if it is not given."""
    text = request.query_params.get(name)
    if text is None:
        return None
    known = list(words)
    for word in known:
        if word == text:
            return word
    raise InvalidValueError(f"{name} must be one of {', '.join(known)}, not {text!r}", name)


def only(request: Request, *names: str) -> None:
    """Raises InvalidValueError if the query holds a name that is none of these: a typo must not be ignored."""
    unknown = [name for name in request.query_params if name not in names]
    if unknown:
        known = ", ".join(names) if names else "none"
        raise InvalidValueError(f"there is no parameter {unknown[0]!r} here; there are: {known}", unknown[0])
