import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import DamagedFileError


@given(
    st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.floats(), st.integers(0, 255)))
)
def test_packing_keeps_every_bit(rows: list[tuple[int, int, float, int]]) -> None:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    batch = ReadingBatch.of(*columns)
    back = ReadingBatch.unpack(batch.pack())
    for name in ("signal", "time", "value", "quality"):
        assert getattr(back, name).tobytes() == getattr(batch, name).tobytes()


def test_an_altered_or_missing_byte_is_noticed() -> None:
    payload = ReadingBatch.of([1, 2, 3], 7, [0.5, 1.5, 2.5]).pack()
    for position in range(len(payload)):
        torn = bytearray(payload)
        torn[position] ^= 1
        with pytest.raises(DamagedFileError):
            ReadingBatch.unpack(bytes(torn))
    for length in range(len(payload)):
        with pytest.raises(DamagedFileError):
            ReadingBatch.unpack(payload[:length])


def test_scalars_are_repeated_and_lengths_must_agree() -> None:
    batch = ReadingBatch.of([4, 5], 100, [1.0, 2.0])
    assert batch.time.tolist() == [100, 100]
    assert batch.quality.tolist() == [192, 192]
    with pytest.raises(ValueError, match="2 signals but 3 values"):
        ReadingBatch.of([4, 5], 100, [1.0, 2.0, 3.0])


def test_concat_and_take_keep_the_order() -> None:
    batch = ReadingBatch.concat([ReadingBatch.of([1], 1, [1.0]), ReadingBatch.of([2, 3], 2, [2.0, 3.0])])
    assert batch.take(np.array([True, False, True])).signal.tolist() == [1, 3]
