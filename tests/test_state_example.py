"""The specification's example of a twin's state, on a definition whose sensors bear the names in it."""

from pathlib import Path

from service_fixtures import API, client, service, write_plant

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph import HEALTH
from iotsense.twin.times import parse_time

DEFINITION = """
digital_twins:
  - name: production_line_1
    type: assembly_line
    components:
      - id: conveyor_1
        type: conveyor
        sensors:
          - {id: conv1_speed, name: speed, type: encoder, unit: m/s}
          - {id: conv1_motor_temp, name: motor_temperature, type: temperature, unit: celsius}
          - {id: conv1_status, name: status, labels: [stopped, running]}
      - id: robot_arm_1
        type: robot_arm
        model: fanuc_m20
        sensors:
          - {id: arm1_joint_positions, name: joint_positions, type: joint_encoder, joints: 6}
          - {id: arm1_gripper, name: gripper_state}
          - {id: arm1_cycles, name: cycle_count_today}
"""

TIME = "2024-01-15T10:30:00.123Z"
EXAMPLE = {
    "twin_id": "production_line_1",
    "timestamp": TIME,
    "components": [
        {
            "id": "conveyor_1",
            "state": {"speed": 1.8, "motor_temperature": 45.2, "status": "running"},
            "health": {"score": 95, "status": "healthy"},
        },
        {
            "id": "robot_arm_1",
            "state": {
                "joint_positions": [0, 45, -30, 0, 90, 0],
                "gripper_state": "closed",
                "cycle_count_today": 1523,
            },
            "health": {"score": 88, "status": "healthy"},
        },
    ],
}


async def test_the_example_of_the_specification(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path, DEFINITION)) as running, client(running) as http:
        documents = [
            {
                "device_id": component["id"],
                "timestamp": TIME,
                "measurements": [{"name": name, "value": value} for name, value in component["state"].items()],
            }
            for component in EXAMPLE["components"]
        ]
        answer = await http.post(f"{API}/telemetry", json=documents)
        assert answer.status_code == 202, answer.text
        assert answer.json()["dead_lettered"] == 0
        twin = running.twin
        for component in EXAMPLE["components"]:
            signal = twin.graph.signal_of(twin.graph.find(component["id"]).key, HEALTH)
            assert signal is not None
            later = parse_time("2200-01-01T00:00:00Z")
            twin.record(batch=ReadingBatch.of([signal.index], [later], [component["health"]["score"]]))
        answer = await http.get(f"{API}/twins/production_line_1/state")
        # No engine computes KPIs yet: they are absent, not invented.
        assert answer.json() == EXAMPLE | {"kpis": {}}
        assert '"cycle_count_today":1523,' in answer.text or '"cycle_count_today":1523}' in answer.text
