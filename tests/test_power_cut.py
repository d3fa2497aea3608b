"""The crash that `kill -9` cannot do: what was written but not synced is gone, zeroed or torn."""

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from power_cut import cuts, read_trace

from iotsense.twin.errors import StorageError
from iotsense.twin.twin import StoreOptions, Twin

pytestmark = pytest.mark.needs("gcc")

POINTS = 50
ROWS = 10
PROGRAM = textwrap.dedent("""
    import os, sys
    from iotsense.twin.batch import ReadingBatch
    from iotsense.twin.model import Level
    from iotsense.twin.twin import StoreOptions, Twin

    directory = sys.argv[1]
    told = os.open(directory + "/acknowledged", os.O_WRONLY | os.O_CREAT)
    twin = Twin.open(directory + "/data", StoreOptions(projection_interval=0.01, segment_bytes=400_000))
    twin.change(lambda e: e.add_signal(e.add_node(id="line", level=Level.LINE).key, "speed"), "test")
    for i in range(400):
        twin.apply(ReadingBatch.of([0] * 10, range(i * 10, i * 10 + 10), [float(i)] * 10))
        os.pwrite(told, b"%06d" % i, 0)
        if i % 150 == 149:
            twin._save_checkpoint()
    twin.close()
""")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording library, compiled."""
    library = tmp_path_factory.mktemp("iotrace") / "iotrace.so"
    source = Path(__file__).with_name("iotrace.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def lost(recorder: Path, directory: Path, drop: str = "") -> tuple[int, int]:
    """Acknowledged readings that are missing after power cuts at random moments, and how many cuts were made."""
    work = directory / "work"
    work.mkdir()
    trace = directory / "trace"
    environment = os.environ | {"LD_PRELOAD": str(recorder), "IOTRACE_DIR": str(work), "IOTRACE_FILE": str(trace)}
    environment |= {"IOTRACE_DROP": drop} if drop else {}
    subprocess.run([sys.executable, "-c", PROGRAM, str(work)], env=environment, check=True)
    missing = cut = 0
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    for number, (disk, fate) in enumerate(cuts(read_trace(trace), POINTS, seed)):
        left = directory / f"cut-{number}"
        (left / "data").mkdir(parents=True)
        disk.cut(work, left, fate)
        cut += 1
        missing += missing_in(left / "data", disk.acknowledged)
    return missing, cut


def missing_in(directory: Path, acknowledged: int) -> int:
    wanted = set(range((acknowledged + 1) * ROWS))
    try:
        with Twin.open(directory, StoreOptions(projection_interval=60)) as twin:
            if twin.trouble is not None:
                return max(1, len(wanted))
            known = 0 in twin.graph.signal_map
            return len(wanted - set(twin.history(0, 0, 2**62).time.tolist() if known else ()))
    except StorageError:
        return max(1, len(wanted))


def test_no_acknowledged_reading_is_lost_by_a_power_cut(recorder: Path, tmp_path: Path) -> None:
    assert lost(recorder, tmp_path) == (0, POINTS)


def test_the_check_notices_when_the_journal_is_not_synced(recorder: Path, tmp_path: Path) -> None:
    missing, cut = lost(recorder, tmp_path, drop="-wal")
    assert cut == POINTS
    assert missing > 0
