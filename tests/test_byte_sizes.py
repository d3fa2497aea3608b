"""Amounts of bytes in words."""

import pytest

from iotsense.twin.byte_sizes import format_bytes, parse_bytes, readable_bytes
from iotsense.twin.errors import InvalidValueError


@pytest.mark.parametrize(
    ("text", "size"),
    [("10GB", 10**10), ("1.5 TB", 1_500_000_000_000), ("512MiB", 512 << 20), ("7kb", 7000), ("3B", 3)],
)
def test_it_is_read_and_written_back(text: str, size: int) -> None:
    assert parse_bytes(text) == size
    assert parse_bytes(format_bytes(size)) == size


@pytest.mark.parametrize("text", ["10", "GB", "-1GB", "10 gigabytes", ""])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="such as 512MB"):
        parse_bytes(text)


def test_for_people_it_is_rounded() -> None:
    assert [readable_bytes(size) for size in (12, 9_640_000, 10**10)] == ["12 B", "9.64 MB", "10 GB"]
