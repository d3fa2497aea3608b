"""Errors of a request itself, before its content is looked at.

IoTSenseError
├── TooLargeError      the body is larger than is accepted
├── MediaTypeError     the body's media type is not understood
├── ClientGoneError    the client went away before its request was whole
└── StoppingError      the service takes no more
"""

from ..twin.errors import IoTSenseError


class TooLargeError(IoTSenseError):
    """A request's body is larger than is accepted; nothing of it was used."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes; send less at a time")


class MediaTypeError(IoTSenseError):
    """A request's body is of a media type that is not understood here."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(f"the body is {got or 'of no declared type'}; send it as Content-Type: {expected}")


class ClientGoneError(IoTSenseError):
    """The client went away before its request was whole; nothing of it was used."""


class StoppingError(IoTSenseError):
    """The service finishes what it has accepted and takes no more."""
