"""Protobuf schemas: `.proto` files compiled when they are loaded, or descriptor sets that `protoc` made before.

Each schema has a descriptor pool of its own, so that two files may define messages of the same name.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import InvalidValueError, MissingExtraError
from .suggestion import nearest

_TIMEOUT_S = 60
_OWN = "google/protobuf/"
_compiled: dict[Path, "tuple[tuple[tuple[str, int, int], ...], bytes]"] = {}


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message of a schema. `descriptor` tells its fields, `parse` makes one of bytes (DecodeError if it is none)."""

    name: str
    descriptor: Any
    parse: Any


def load_message_type(file: str | Path, wanted: str | None = None) -> MessageType:
    """The message `wanted` of a schema file, by its full name or the end of it; None: the only one.

    Raises InvalidValueError with file and line if the schema is wrong, MissingExtraError without the library.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingExtraError("the parser protobuf", "protobuf") from None
    path = Path(file)
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(_descriptor_set(path)).file
    except DecodeError:
        raise InvalidValueError(
            f"{path.name} is neither a .proto file nor a descriptor set, as `protoc --descriptor_set_out` writes it"
        ) from None
    pool = descriptor_pool.DescriptorPool()
    for each in _in_order(list(files), path):
        try:
            pool.AddSerializedFile(each.SerializeToString())
        except TypeError as error:
            raise InvalidValueError(f"{path.name}: {each.name} cannot be used: {error}") from None
    name = _choose(path, _messages(path, files), wanted)
    descriptor = pool.FindMessageTypeByName(name)
    return MessageType(name, descriptor, message_factory.GetMessageClass(descriptor).FromString)


def unknown_field(descriptor: Any, steps: Sequence[Any]) -> str | None:
    """Why these steps of a path lead nowhere in a message; None if they may lead somewhere."""
    for step in steps:
        if descriptor is None:
            return None
        if not isinstance(step, str):
            continue
        field = descriptor.fields_by_name.get(step)
        if field is None:
            fields = list(descriptor.fields_by_name)
            hint = nearest(step, tuple(fields))
            return f"{descriptor.full_name} has no field {step}" + (
                f"; did you mean {hint!r}?" if hint else f"; it has {', '.join(fields)}"
            )
        descriptor = field.message_type
        if descriptor is not None and (descriptor.GetOptions().map_entry or descriptor.full_name.startswith("google.")):
            return None
    return None


# Compiling ------------------------------------------------------------------------------------------------------------


def _descriptor_set(path: Path) -> bytes:
    try:
        if path.suffix != ".proto":
            return path.read_bytes()
        known = _compiled.get(path)
        if known is not None and known[0] == _stamps(name for name, _, _ in known[0]):
            return known[1]
        return _compile(path)
    except OSError as error:
        raise InvalidValueError(f"the schema file {path} cannot be read: {error.strerror or error}") from None


def _compile(path: Path) -> bytes:
    if find_spec("grpc_tools") is None:
        raise MissingExtraError(f"compiling {path.name}", "protobuf")
    if not path.exists():
        raise InvalidValueError(f"the schema file {path} is not there")
    folder = path.absolute().parent
    with tempfile.TemporaryDirectory() as made:
        out, used = Path(made, "set"), Path(made, "used")
        # In a process of its own: the compiler writes its findings to the process's standard error.
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *_import_folders(folder), "--include_imports",
             f"--descriptor_set_out={out}", f"--dependency_out={used}", path.name],
            cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise InvalidValueError(_first_mistakes(done.stderr) or f"{path.name} cannot be compiled")
        content = out.read_bytes()
        files = used.read_text("utf-8").partition(":")[2].replace("\\\n", " ").split()
    _compiled[path] = (_stamps(str(folder / name) for name in files), content)
    return content


def _import_folders(folder: Path) -> list[str]:
    """Imports are relative to the file's own folder or to one of the two above it, as packages lie in folders."""
    return [f"-I{each}" for each in (folder, *folder.parents[:2])]


def _stamps(files: Any) -> tuple[tuple[str, int, int], ...]:
    """What tells whether the schema and its imports are still the same."""
    found = []
    for name in files:
        try:
            status = os.stat(name)
        except OSError:
            continue
        found.append((name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _first_mistakes(errors: str, shown: int = 3) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip() and "warning:" not in line]
    more = f" (and {len(lines) - shown} more)" if len(lines) > shown else ""
    return "; ".join(line.rstrip(".") for line in lines[:shown]) + more


# Choosing -------------------------------------------------------------------------------------------------------------


def _in_order(files: list[Any], path: Path) -> Iterator[Any]:
    """The files so that each comes behind what it imports."""
    waiting, done = {each.name: each for each in files}, set[str]()
    while waiting:
        ready = [name for name, each in waiting.items() if done.issuperset(each.dependency)]
        if not ready:
            missing = sorted({need for each in waiting.values() for need in each.dependency} - done - waiting.keys())
            raise InvalidValueError(
                f"{path.name} lacks {', '.join(missing) or 'an order'}; write it with `protoc --include_imports`"
            )
        for name in ready:
            yield waiting.pop(name)
            done.add(name)


def _messages(path: Path, files: Sequence[Any]) -> list[Any]:
    """(full name, definition) of the messages of the file itself; of a descriptor set, of all that is not Google's."""
    own = [each for each in files if each.name == path.name] or [f for f in files if not f.name.startswith(_OWN)]
    return [(f"{each.package}.{m.name}".lstrip("."), m) for each in own for m in each.message_type]


def _choose(path: Path, messages: list[Any], wanted: str | None) -> str:
    names = [name for name, _ in messages]
    if not names:
        raise InvalidValueError(f"{path.name} defines no message")
    if wanted is not None:
        found = [name for name in names if name == wanted or name.endswith("." + wanted)]
        if len(found) != 1:
            raise InvalidValueError(
                f"{path.name} has no one message {wanted}; it has {', '.join(names)}", "message_type"
            )
        return str(found[0])
    parts = {field.type_name.lstrip(".") for _, message in messages for field in message.field}
    whole = [name for name in names if name not in parts] or names
    if len(whole) != 1:
        raise InvalidValueError(
            f"{path.name} has several messages: say with `message_type` which one is sent: {', '.join(whole)}",
            "message_type",
        )
    return str(whole[0])
