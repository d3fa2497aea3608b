"""Every error of IoTSense's own.

IoTSenseError
├── DefinitionError          a project's documents are wrong; carries all findings
├── InvalidValueError        one value, expression, unit, time or argument is not acceptable
├── NotFoundError            no such node, signal, twin, event or dead letter
│   └── AmbiguousIdError     a short id fits several nodes
├── NotYetError              a revision that the caller has seen elsewhere is not here yet
├── ConflictError            the change contradicts what is there
│   ├── OutdatedError        what the caller had seen is no longer so
│   └── ReusedKeyError       the key of a request was used for another one
├── UnauthenticatedError     whoever asks did not say who it is, or not so that we believe it
├── ForbiddenError           whoever asks may not do that
├── OverloadedError          a bounded buffer is full; try again later
├── MissingExtraError        an optional library is not installed
├── SourceError              a broker, server or device cannot be used
├── StoreError               an external store cannot be used now; it is tried again
│   └── StoreRefusedError    an external store cannot be used before somebody changes something
└── StorageError             the data directory cannot be used
    ├── StorageFullError     no room; reads go on
    ├── StorageReadOnlyError writes are refused; reads go on
    ├── DamagedFileError     a file is torn, altered or missing
    └── DirectoryInUseError  another process owns the directory

A library's exceptions are translated where that library is used, and nowhere else.
"""

from collections.abc import Sequence


class IoTSenseError(Exception):
    """Base of all errors that IoTSense raises on purpose; its text is written for the person who reads it."""


class DefinitionError(IoTSenseError):
    """Documents of a project are wrong; nothing of them was applied. `findings` holds every mistake."""

    def __init__(self, findings: Sequence[object]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class InvalidValueError(IoTSenseError):
    """A value, expression, unit, time or argument is not acceptable. `field` names the place, if known."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class NotFoundError(IoTSenseError):
    """Nothing goes by that name here."""


class AmbiguousIdError(NotFoundError):
    """A short id fits several nodes; `candidates` lists their full ids."""

    def __init__(self, id: str, candidates: Sequence[str]) -> None:
        self.candidates = sorted(candidates)
        super().__init__(f"{id!r} is ambiguous: it may be {', '.join(self.candidates)}")


class NotYetError(IoTSenseError):
    """A revision that was asked for is not here yet; try again. `field` names the parameter."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class ConflictError(IoTSenseError):
    """The change contradicts what is there; nothing was changed."""


class OutdatedError(ConflictError):
    """What the caller had seen is no longer so; nothing was changed. Look again, and ask again."""


class ReusedKeyError(ConflictError):
    """The idempotency key of a request was used for another one; nothing was done."""


class UnauthenticatedError(IoTSenseError):
    """Whoever asks did not say who it is, or not so that we believe it."""


class ForbiddenError(IoTSenseError):
    """Whoever asks may not do that."""


class OverloadedError(IoTSenseError):
    """A bounded buffer is full; nothing was accepted. `retry_after` [s] is a hint."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class MissingExtraError(IoTSenseError):
    """An optional library is missing; the text holds the command that installs it."""

    def __init__(self, purpose: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs an optional library: pip install 'iotsense[{extra}]'")


class SourceError(IoTSenseError):
    """A broker, server or device cannot be reached or refuses us."""


class StoreError(IoTSenseError):
    """An external store cannot be reached, or failed; what it was to take stays in the journal."""


class StoreRefusedError(StoreError):
    """An external store cannot be used as it is: no such database, no rights, a newer schema, another plant's."""


class StorageError(IoTSenseError):
    """The data directory cannot be used as asked."""


class StorageFullError(StorageError):
    """No room left: the write was refused, nothing of it was kept, reads go on. Try again when there is room."""


class StorageReadOnlyError(StorageError):
    """Writes are refused (unwritable directory, damaged file, shutdown); reads go on."""


class DamagedFileError(StorageError):
    """A file is torn, altered or missing; the text names the file and the range."""


class DirectoryInUseError(StorageError):
    """Another process owns the data directory."""
