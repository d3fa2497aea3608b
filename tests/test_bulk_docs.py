"""The rows that docs/bulk.md shows can be imported."""

import re
from pathlib import Path

from iotsense.twin.bulk_import import bulk_import
from iotsense.twin.twin import Twin

PAGE = Path(__file__).parent.parent / "docs" / "bulk.md"


def test_the_rows_of_the_page_come_in(tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S)
    file = tmp_path / "page.jsonl"
    file.write_text(block)
    with Twin.open(tmp_path / "data") as twin:
        report = bulk_import(twin, [file], strict=True)
        assert sum(report.rows.values()) == len(block.splitlines())
        assert twin.state.read(twin.graph.find_signal("force").index) is not None
