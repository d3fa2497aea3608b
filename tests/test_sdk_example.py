"""The specification's "MQTT Sensor Integration", as it stands there but for the imports that it lacks."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from mosquitto_fixtures import Mosquitto
from service_fixtures import process

from iotsense import IoTSense
from iotsense.twin.errors import NotFoundError

MISSING_IMPORTS = "import json\nimport os\n"
EXAMPLE = """\
import paho.mqtt.client as mqtt
from iotsense import IoTSense

iot = IoTSense(api_key=os.environ['IOTSENSE_API_KEY'])

def on_message(client, userdata, msg):
    # Parse sensor data
    data = json.loads(msg.payload)

    # Send to IoTSense
    iot.telemetry.send({
        'device_id': data['device_id'],
        'timestamp': data['timestamp'],
        'measurements': [
            {
                'name': 'temperature',
                'value': data['temperature'],
                'unit': 'celsius'
            },
            {
                'name': 'humidity',
                'value': data['humidity'],
                'unit': 'percent'
            }
        ]
    })

client = mqtt.Client()
client.on_message = on_message
client.connect("broker.factory.local", 1883)
client.subscribe("sensors/#")
client.loop_forever()
"""
# The name of the example's broker leads to the test's, as an entry in the hosts file would, on the port that is free.
HOSTS = """\
import socket
_connect = socket.create_connection
def create_connection(address, *more, **options):
    return _connect(("127.0.0.1", {port}) if address == ("broker.factory.local", 1883) else address, *more, **options)
socket.create_connection = create_connection
"""


@pytest.mark.needs("mosquitto")
def test_the_example_runs_as_written(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with process(tmp_path / "data") as running, IoTSense(url=running.url) as iot:
        program = HOSTS.format(port=mosquitto.port) + MISSING_IMPORTS + EXAMPLE
        environment = os.environ | {"IOTSENSE_API_KEY": "none yet", "IOTSENSE_URL": running.url}
        with subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE) as example:
            try:
                publish(mosquitto.port, range(1), retain=True)  # tells when the example has subscribed
                assert temperatures(iot, 1) == [20]
                publish(mosquitto.port, range(1, 100))
                assert temperatures(iot, 100) == list(range(20, 120))
            finally:
                example.terminate()
            assert example.stderr is not None
            complaints = example.stderr.read().decode()
    assert "Traceback" not in complaints
    # paho-mqtt 2 runs it with callbacks of its first version, and says that those will go.
    assert "Callback API version 1 is deprecated" in complaints


def publish(port: int, numbers: Iterable[int], retain: bool = False) -> None:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for i in numbers:
        told = {"device_id": "room_1", "temperature": 20 + i, "humidity": 40, "timestamp": stamp(i)}
        client.publish("sensors/room_1", json.dumps(told), qos=1, retain=retain).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def stamp(i: int) -> str:
    return f"2024-01-15T10:{i // 60:02d}:{i % 60:02d}.000Z"


def temperatures(iot: IoTSense, count: int) -> list[float]:
    """The history of the discovered sensor, as soon as it holds so many readings."""
    while True:
        with suppress(NotFoundError):
            found = iot.history("temperature", "2024-01-15", "2024-01-16")["temperature"]
            if len(found) >= count:
                return [float(value) for value in found.value]
        time.sleep(0.05)
