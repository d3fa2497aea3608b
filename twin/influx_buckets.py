"""The buckets of a store in InfluxDB, their retention, and the tasks that fill the roll-ups.

What a bucket is for stands in its description: the version of its layout and the plant whose it is. Version 1 has the
readings' bucket; version 2 adds one for each tier, with a task. A way up adds and a way down removes: no reading is
rewritten, so the tasks' texts are all that there is to back up.
"""

import json
from collections.abc import Mapping
from typing import Any

from .errors import StoreRefusedError
from .influx_server import InfluxServer, translated

VERSION = 2
_AGGREGATES = "_aggregates"
_TITLE = "History of a plant, kept by IoTSense. "

# Late readings find their way into the buckets that are computed again: so many behind the newest.
_AGAIN = 15
_TASK = """option task = {{name: "{name}", every: {every}, offset: 2m}}

rows = from(bucket: "{bucket}")
    |> range(start: date.truncate(t: -{back}, unit: {every}), stop: date.truncate(t: now(), unit: {every}))
    |> filter(fn: (r) => r._measurement == "reading")
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
    |> filter(fn: (r) => exists r.value and (not exists r.quality or r.quality >= 64))
    |> filter(fn: (r) => not exists r.special or r.special == 0)
    |> map(fn: (r) => ({{r with _value: r.value}}))
    |> keep(columns: ["_time", "_value", "_start", "_stop", "signal", "id", "node", "name", "unit"])
    |> group(columns: ["signal", "id", "node", "name", "unit"])

rolled = (fn, field) => rows
    |> aggregateWindow(every: {every}, fn: fn, createEmpty: false, timeSrc: "_start")
    |> set(key: "_field", value: field)
    |> set(key: "_measurement", value: "reading")
    |> to(bucket: "{target}")

rolled(fn: mean, field: "mean")
rolled(fn: min, field: "minimum")
rolled(fn: max, field: "maximum")
rolled(fn: first, field: "first")
rolled(fn: last, field: "last")
rows
    |> aggregateWindow(every: {every}, fn: count, createEmpty: false, timeSrc: "_start")
    |> toFloat()
    |> set(key: "_field", value: "usable")
    |> set(key: "_measurement", value: "reading")
    |> to(bucket: "{target}")
"""


class InfluxBuckets:
    """The buckets of one store."""

    def __init__(self, server: InfluxServer) -> None:
        self._server = server
        self._client: Any = server.client
        self._name = server.address.bucket
        self._retention = server.address.retention

    def upgrade(self, plant: str) -> None:
        """Makes the bucket or brings it up to date; raises StoreRefusedError if it is another plant's or newer."""
        with translated(str(self._server.address)):
            bucket = self._find(self._name)
            if bucket is None:
                bucket = self._make(self._name, self._retention.get("raw"), _described(VERSION, plant))
            version, owner = _read(bucket.description)
            if owner not in (None, plant):
                raise StoreRefusedError("the bucket holds the history of another plant; give each a bucket of its own")
            if version > VERSION:
                raise StoreRefusedError(
                    f"its layout is of version {version}, and this program knows {VERSION}: run `iotsense downgrade`"
                    f" of the newer program first, or update this one"
                )
            self._set(bucket, self._retention.get("raw"), _described(VERSION, plant))
            for name, keep in self._retention.items():
                if name.endswith(_AGGREGATES):
                    self._tier(name.removesuffix(_AGGREGATES), keep)

    def downgrade(self) -> int:
        """Takes the layout back by one version: the tasks go; buckets with roll-ups stay, as nobody fills them up."""
        with translated(str(self._server.address)):
            bucket = self._find(self._name)
            version, owner = _read(bucket.description if bucket else None)
            if bucket is None or owner is None or version < 2:
                raise StoreRefusedError("nothing is older than version 1" if bucket else "there is no such bucket")
            for task in self._tasks():
                self._client.tasks_api().delete_task(task.id)
            self._set(bucket, self._retention.get("raw"), _described(version - 1, owner))
            return version - 1

    def _tier(self, tier: str, keep: float) -> None:
        target = f"{self._name}_{tier}"
        bucket = self._find(target)
        if bucket is None:
            self._make(target, keep, f"{_TITLE}Roll-ups of {self._name}.")
        else:
            self._set(bucket, keep, bucket.description)
        flux = 'import "date"\n\n' + _TASK.format(
            name=target, every=tier, back=_times(tier, _AGAIN), bucket=self._name, target=target
        )
        found = [task for task in self._tasks() if task.name == target]
        if found and found[0].flux == flux:
            return
        for task in found:
            self._client.tasks_api().delete_task(task.id)
        self._create_task(flux)

    def _create_task(self, flux: str) -> None:
        from influxdb_client.domain.task_create_request import TaskCreateRequest

        make: Any = TaskCreateRequest
        request = make(flux=flux, org=self._server.address.organization, status="active")
        self._client.tasks_api().create_task(task_create_request=request)

    def _tasks(self) -> list[Any]:
        prefix = f"{self._name}_"
        return [task for task in self._client.tasks_api().find_tasks(limit=500) if task.name.startswith(prefix)]

    def _find(self, name: str) -> Any:
        return self._client.buckets_api().find_bucket_by_name(name)

    def _make(self, name: str, keep: float | None, description: str) -> Any:
        return self._client.buckets_api().create_bucket(
            bucket_name=name,
            retention_rules=_rules(keep),
            description=description,
            org=self._server.address.organization,
        )

    def _set(self, bucket: Any, keep: float | None, description: str) -> None:
        rules = _rules(keep)
        if bucket.description != description or _seconds(bucket.retention_rules) != _seconds(rules):
            bucket.description, bucket.retention_rules = description, rules
            self._client.buckets_api().update_bucket(bucket)


def _described(version: int, plant: str) -> str:
    return _TITLE + json.dumps({"version": version, "plant": plant})


def _read(description: str | None) -> tuple[int, str | None]:
    """Version and plant; a bucket that somebody made for us says nothing yet."""
    if not description or not description.startswith(_TITLE):
        return 0, None
    told: Mapping[str, Any] = json.loads(description.removeprefix(_TITLE))
    return int(told["version"]), str(told["plant"])


def _rules(keep: float | None) -> list[Any]:
    from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules

    make: Any = BucketRetentionRules
    return [] if keep is None else [make(type="expire", every_seconds=max(3600, round(keep)))]


def _seconds(rules: Any) -> int:
    return sum(rule.every_seconds if hasattr(rule, "every_seconds") else rule["everySeconds"] for rule in rules or [])


def _times(tier: str, number: int) -> str:
    digits = tier.rstrip("smhdw")
    return f"{int(digits) * number}{tier[len(digits) :]}"
