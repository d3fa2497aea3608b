"""`iotsense init`: a small project with comments, to be changed into one's own."""

import json
from pathlib import Path

from .errors import ConflictError, InvalidValueError
from .schema import json_schema

SCHEMA_FILE = "iotsense.schema.json"
_HEADER = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"

PLANT = (
    _HEADER
    + """# The plant: where it is, and its lines as digital twins.
# Check with `iotsense validate .`, see what would change with `iotsense plan .`, make it so with `iotsense apply .`

site:
  id: plant_1
  name: Plant 1
  timezone: Europe/Berlin # shifts, schedules and days follow it

area:
  - id: hall_a
    name: Hall A

digital_twins:
  - name: line_1
    title: Line 1
    type: assembly_line
    area: hall_a

    components:
      - id: conveyor_1
        type: conveyor
        sensors:
          - id: conv1_speed
            name: speed # its key in the component's state; left out, the id
            type: encoder
            unit: m/s # by name (celsius), symbol (°C), UCUM (Cel) or UNECE code (CEL)
            low: 0
            high: 3
          - id: conv1_motor_temp
            name: motor_temperature
            type: temperature
            unit: celsius
            expected_interval: 1m # silent for longer: stale
          - id: conv1_state
            name: status
            stepped: true # holds until the next value
            labels: [stopped, running, blocked]
        parameters:
          length: 50 # metres
          max_speed: 2.5

      - id: robot_arm_1
        type: robot_arm
        model: fanuc_m20
        sensors:
          - id: arm1_joint_positions
            name: joint_positions
            type: joint_encoder
            unit: degree
            joints: 6 # six values, shown as one list
            # source: "cell/arm1/joints" # bind an address at the source; left out, ids and names are compared

    # Many of a kind: a type says once what each of them has, and one entry makes them all.
    #   component_types: [{ name: pump, sensors: [{ id: flow, unit: l/min }] }]
    #   components: [{ for_each: { range: [1, 40] }, id: "pump_${each}", type: pump }]

    relationships:
      - from: conveyor_1
        to: robot_arm_1
        type: feeds_into
        transfer_time: 2.5 # seconds
"""
)

SOURCES = (
    _HEADER
    + """# Where readings come from, and what happens to them on their way.

sensor_ingestion:
  protocols:
    - name: mqtt
      broker: "mqtt://localhost:1883"
      qos: 1 # acknowledged once it is stored
      # username: iotsense
      # password: "${MQTT_PASSWORD}" # secrets come from the environment, or a file: ${file:/run/secrets/mqtt}
      topics:
        # {"deviceId": "conveyor_1", "temp": 104.2, "ts": "2024-01-15T10:30:00Z"}
        - pattern: "sensors/+/temperature"
          schema:
            device_id: "$.deviceId"
            name: motor_temperature
            value: "$.temp"
            timestamp: "$.ts"
        # Without a schema: the shape of POST /api/v1/iotsense/telemetry.
        - pattern: "telemetry/#"

  unbound: create # a reading from an unknown device makes a discovered node; or dead_letter
  discovery_limit: 100 # new nodes a minute; off: as many as come

normalization:
  rules:
    - source: "sensors/+/temperature"
      transforms:
        - type: unit_conversion
          from_unit: fahrenheit
          to_unit: celsius
        - type: add_metadata
          fields:
            sensor: "${topic.split('/')[1]}"
"""
)

RULES = (
    _HEADER
    + """# What is watched. `sensor` is an id (conveyor_1.conv1_motor_temp), a name or a type of sensors.

anomaly_detection:
  rules:
    - name: motor_too_hot
      type: threshold
      sensor: motor_temperature
      conditions:
        - operator: ">"
          threshold: 80
          severity: warning
          hysteresis: 5 # clears at 75
        - operator: ">"
          threshold: 95
          severity: critical
          hysteresis: 5
        - metric: rate_of_change # change over the window
          window: 5m
          operator: ">"
          threshold: 10
          severity: warning
"""
)

STARTER = {"plant.yaml": PLANT, "sources.yaml": SOURCES, "rules.yaml": RULES}


def write_starter(directory: str | Path) -> list[Path]:
    """Writes the starter project and its schema into a folder, which it makes if need be; returns the files.

    Raises ConflictError, and writes nothing, if one of the files is there; InvalidValueError if it cannot write.
    """
    folder = Path(directory)
    texts = STARTER | {SCHEMA_FILE: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"}
    if present := [name for name in texts if (folder / name).exists()]:
        raise ConflictError(f"{folder} holds {', '.join(present)} already; nothing was written")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            written.append(folder / name)
    except OSError as error:
        raise InvalidValueError(f"{folder} cannot be written: {error.strerror or error}") from None
    return written
