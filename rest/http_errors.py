"""Errors of a request itself, before its content is looked at.

IoTSenseError
├── TooLargeError      the body is larger than is accepted
├── MediaTypeError     the body's media type is not understood
├── NotAcceptableError what is asked for cannot be had in the media type that is asked for
├── ClientGoneError    the client went away before its request was whole
└── StoppingError      the service takes no more
"""

from collections.abc import Sequence

from ..twin.errors import IoTSenseError


class TooLargeError(IoTSenseError):
    """A request's body is larger than is accepted; nothing of it was used."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes; send less at a time")


class MediaTypeError(IoTSenseError):
    """A request's body is of a media type that is not understood here."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"the body is {got or 'of no declared type'}; send it as Content-Type: {expected}")


class NotAcceptableError(IoTSenseError):
    """None of the media types that the client accepts is one that it can have."""

    def __init__(self, accepted: str, offered: Sequence[str]) -> None:
        super().__init__(f"this cannot be had as {accepted[:200]}; it can as {', '.join(offered)}")


class ClientGoneError(IoTSenseError):
    """The client went away before its request was whole; nothing of it was used."""


class StoppingError(IoTSenseError):
    """The service finishes what it has accepted and takes no more."""
