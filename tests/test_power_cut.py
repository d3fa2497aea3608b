"""The crash that `kill -9` cannot do: what was written but not synced is gone, zeroed or torn."""

from pathlib import Path

import pytest
from power_cut import POINTS, build, lost

pytestmark = pytest.mark.needs("gcc")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording library."""
    return build(tmp_path_factory.mktemp("iotrace"))


def test_no_acknowledged_reading_is_lost_by_a_power_cut(recorder: Path, tmp_path: Path) -> None:
    assert lost(recorder, tmp_path) == (0, POINTS)


def test_the_check_notices_when_the_journal_is_not_synced(recorder: Path, tmp_path: Path) -> None:
    missing, cut = lost(recorder, tmp_path, drop="-wal")
    assert cut == POINTS
    assert missing > 0
