"""Exit codes of the command line, documented in docs/operations.md."""

from .config import AddressInUseError, NotLoopbackError
from .twin.errors import DefinitionError, DirectoryInUseError, IoTSenseError, StorageError

OK = 0
ERROR = 1
USAGE = 2
DEFINITION = 3
DIRECTORY_IN_USE = 4
STORAGE = 5
ADDRESS_IN_USE = 6
NOT_LOOPBACK = 7
INTERRUPTED = 130

_CODES: dict[type[IoTSenseError], int] = {
    DefinitionError: DEFINITION,
    DirectoryInUseError: DIRECTORY_IN_USE,
    StorageError: STORAGE,
    AddressInUseError: ADDRESS_IN_USE,
    NotLoopbackError: NOT_LOOPBACK,
}


def exit_code(error: IoTSenseError) -> int:
    """The code of the most particular class that has one."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), ERROR)
