"""The files of a bulk import by ids: which rows they hold, and where each row stands."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from .bulk_files import MANIFEST
from .bulk_report import BadRow, Misfits
from .bulk_rows import FILES, Row
from .errors import InvalidValueError, NotFoundError

PARQUET = ".parquet"
LINES = (".jsonl", ".ndjson")
_TEXT = 500


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A row and where it stands."""

    row: Row
    file: str
    line: int


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files of an import: JSON Lines first, of a directory in the order in which they build on each other.

    Raises NotFoundError, InvalidValueError for a file of another kind.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [file for file in path.rglob("*") if file.suffix in (*LINES, PARQUET) and file.is_file()]
            found += sorted(file for file in inside if not file.name.startswith("."))
        elif not path.exists():
            raise NotFoundError(f"there is no file {path}")
        elif path.suffix not in (*LINES, PARQUET):
            raise InvalidValueError(f"{path} is neither JSON Lines ({', '.join(LINES)}) nor Parquet", "file")
        else:
            found.append(path)
    order = list(FILES)
    # Revisions say again, step by step, what nodes, signals and relationships say at once.
    found = [path for path in found if path.stem != "revisions" and path.name != MANIFEST]
    if not found:
        raise NotFoundError(f"there is nothing to import in {', '.join(map(str, paths))}")
    return sorted(found, key=lambda path: (path.suffix == PARQUET, order.index(path.stem) if path.stem in order else 0))


def placed_rows(path: Path, misfits: Misfits | None) -> Iterator[Placed]:
    """The rows of a file of JSON Lines; a line that is none is left out, and told of unless `misfits` is None."""
    kind = FILES.get(path.stem)
    decoders: list[msgspec.json.Decoder[Row]] = [msgspec.json.Decoder(Row)]
    if kind is not None:
        decoders.insert(0, msgspec.json.Decoder(kind))
    name = path.name
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = _decoded(decoders, line)
            if not isinstance(row, str):
                yield Placed(row, name, number)
            elif misfits is not None:
                misfits.add(BadRow(name, number, row, line[:_TEXT].decode(errors="replace").rstrip()))


def _decoded(decoders: "list[msgspec.json.Decoder[Row]]", line: bytes) -> Row | str:
    reasons: list[str] = []
    for decoder in decoders:
        try:
            return decoder.decode(line)
        except msgspec.DecodeError as error:
            reasons.append(str(error))
    # The row's own kind tells more than that it is of no other kind.
    return reasons[0] if "`row`" not in reasons[0] else reasons[-1]
