"""The program of docs/reports.md runs."""

import re
from pathlib import Path

from service_fixtures import process, write_plant

from iotsense import IoTSense

PAGE = Path(__file__).parent.parent / "docs" / "reports.md"
PLANT = """
digital_twins:
  - name: line_1
    components:
      - {id: pump_1, sensors: [{id: flow, unit: m3/h}]}
"""


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    with (
        process(tmp_path / "data", "-c", str(write_plant(tmp_path, PLANT))) as running,
        IoTSense(url=running.url) as iot,
    ):
        exec(program, {"iot": iot})
        events = [event for event in iot.events() if event["kind"] == "failure"]
        assert [event["data"].get("cost") for event in events] == [250, 300, None]
        assert events[-1]["retracts"] == events[1]["seq"]
        assert iot.asset("KX-77")["node"] == "line_1.pump_1"
