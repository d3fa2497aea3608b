"""thingsboard-gateway as the peer: from one mosquitto to another, on which a stub plays the platform and counts."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from figure import process_cpu
from paho.mqtt.enums import CallbackAPIVersion

HERE = Path(__file__).parent
MAPPING = {
    "topicFilter": "sensors/+/temperature",
    "subscriptionQos": 1,
    "converter": {
        "type": "json",
        "deviceInfo": {
            "deviceNameExpressionSource": "message",
            "deviceNameExpression": "${deviceId}",
            "deviceProfileExpressionSource": "constant",
            "deviceProfileExpression": "default",
        },
        "timeout": 60000,
        "attributes": [],
        "timeseries": [{"type": "double", "key": "temperature", "value": "${temp}"}],
    },
}
GENERAL = {
    "thingsboard": {
        "host": "127.0.0.1",
        "remoteShell": False,
        "remoteConfiguration": False,
        "statistics": {"enable": False},
        "deviceFiltering": {"enable": False},
        "maxPayloadSizeBytes": 65536,
        "minPackSendDelayMS": 50,
        "minPackSizeToSend": 500,
        "checkConnectorsConfigurationInSeconds": 60,
        "handleDeviceRenaming": True,
        "security": {"type": "accessToken", "accessToken": "benchmark"},
        "qos": 1,
        "reportStrategy": {"type": "ON_RECEIVED"},
        "checkingDeviceActivity": {"checkDeviceInactivity": False},
        **dict.fromkeys(
            ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits"), "0:0,"
        ),
        "deviceDpRateLimits": "0:0,",
    },
    "storage": {
        "type": "sqlite",
        "data_file_path": "./data/",
        "messages_ttl_check_in_hours": 1,
        "messages_ttl_in_days": 7,
        "max_read_records_count": 1000,
        "batch_size": 1000,
    },
    "grpc": {"enabled": False},
    "connectors": [{"name": "mqtt", "type": "mqtt", "configuration": "mqtt.json"}],
}
LIMITS = {"maxPayloadSize": 1_000_000, "maxInflightMessages": 10_000, "rateLimits": {}, "gatewayRateLimits": {}}


class Platform:
    """The stub: answers what the gateway asks, and counts values and devices."""

    def __init__(self, port: int) -> None:
        self.values = 0
        self.devices: set[str] = set()
        self.last = 0.0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("v1/devices/me/rpc/request/+", 1), ("v1/gateway/#", 1)])
        self._client.loop_start()

    def close(self) -> None:
        """Ends it."""
        self._client.disconnect()
        self._client.loop_stop()

    def await_values(self, count: int, timeout: float) -> float:
        """The instant (`perf_counter`) of the last of so many values."""
        deadline = time.monotonic() + timeout
        while self.values < count and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.values < count:
            raise SystemExit(f"thingsboard-gateway delivered {self.values} of {count} values within {timeout:g} s")
        return self.last

    def _take(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if "rpc/request" in message.topic:
            number = message.topic.rpartition("/")[2]
            client.publish(f"v1/devices/me/rpc/response/{number}", json.dumps(LIMITS), qos=1)
        elif message.topic == "v1/gateway/telemetry":
            told = json.loads(message.payload)
            self.devices |= told.keys()
            self.values += sum(len(each["values"]) for entries in told.values() for each in entries)
            self.last = time.perf_counter()


class Gateway:
    """A running thingsboard-gateway; `platform` is what it sends to."""

    def __init__(self, platform: Platform, process: "subprocess.Popen[bytes]") -> None:
        self.platform = platform
        self._pid = process.pid

    def cpu(self) -> float:
        """CPU seconds so far."""
        return process_cpu(self._pid)


@contextlib.contextmanager
def gateway(place: Path, devices_port: int, platform_port: int) -> Iterator[Gateway]:
    """For as long as the block lasts; returns when it is subscribed."""
    script = HERE.parent / "scripts" / "peer-thingsboard.sh"
    brought = subprocess.run([str(script)], capture_output=True, text=True)
    if brought.returncode:
        raise SystemExit(f"thingsboard-gateway cannot be had:\n{brought.stderr}")
    program = brought.stdout.strip()
    config = place / "gateway"
    config.mkdir()
    general = GENERAL | {"thingsboard": GENERAL["thingsboard"] | {"port": platform_port}}  # type: ignore[operator]
    broker = {
        "host": "127.0.0.1", "port": devices_port, "clientId": "peer", "version": 5, "maxMessageNumberPerWorker": 10,
        "maxNumberOfWorkers": 100, "cleanSession": False, "cleanStart": False, "sessionExpiryInterval": 3600,
        "security": {"type": "anonymous"},
    }  # fmt: skip
    (config / "tb_gateway.json").write_text(json.dumps(general))
    (config / "mqtt.json").write_text(json.dumps({"broker": broker, "mapping": [MAPPING]}))
    (config / "logs.json").write_text(
        json.dumps({"version": 1, "disable_existing_loggers": True, "root": {"level": "ERROR", "handlers": []}})
    )
    platform = Platform(platform_port)
    with (place / "gateway.log").open("wb") as log:
        environment = os.environ | {"TB_GW_CONFIG_DIR": str(config)}
        process = subprocess.Popen([program], cwd=config, env=environment, stdout=log, stderr=log)
    try:
        _await_subscribed(devices_port, platform)
        yield Gateway(platform, process)
    finally:
        process.kill()
        process.wait()
        platform.close()


def _await_subscribed(port: int, platform: Platform) -> None:
    """Publishes until something comes out at the other end."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        deadline = time.monotonic() + 60
        while not platform.values:
            if time.monotonic() > deadline:
                raise SystemExit("thingsboard-gateway does not start")
            client.publish("sensors/0/temperature", json.dumps({"deviceId": "first", "temp": 1.0}), qos=1)
            threading.Event().wait(0.25)
    finally:
        client.disconnect()
        client.loop_stop()
    threading.Event().wait(1.0)  # what is still under way
