"""Truth values, however they are written."""

from ..twin.errors import InvalidValueError

_TRUTHS = {
    **dict.fromkeys(("true", "on", "yes", "active", "1", "1.0"), True),
    **dict.fromkeys(("false", "off", "no", "inactive", "0", "0.0"), False),
}


def truth(value: float | bool | str, what: str) -> bool:
    """True or false; raises InvalidValueError for anything else, with `what` it was for."""
    found = _TRUTHS.get(str(value).strip().lower())
    if found is None:
        raise InvalidValueError(f"found {value!r}, expected true or false: {what}")
    return found
