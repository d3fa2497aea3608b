"""Transactions grow with a slow disk, and are small again when it is quick."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ingest_fixtures import mqtt, running, twin_of

from iotsense.ingest.group_size import GroupSize
from iotsense.ingest.message import Message


async def test_a_slow_disk_makes_groups_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0
    async with running(tmp_path, sensor_ingestion=mqtt(unbound="dead_letter")) as pipeline:
        twin, append = twin_of(pipeline), twin_of(pipeline).append

        async def slow(*arguments: Any, **options: Any) -> int:
            nonlocal commits
            commits += 1
            await asyncio.sleep(0.08)
            return await append(*arguments, **options)

        monkeypatch.setattr(twin, "append", slow)
        done = asyncio.Event()
        body = b'{"measurements": [{"name": "conv1_speed", "value": 1.5}]}' + b" " * 200
        messages = [Message("mqtt", payload=body, topic="conveyor_1") for _ in range(8000)]
        messages[-1].ack = done.set
        pipeline.offer(messages)
        await done.wait()
    assert commits <= 7  # groups of the least size would have been twelve


def test_one_slow_commit_is_no_slow_disk_and_there_is_a_bound() -> None:
    size = GroupSize(1000)
    size.committed(0.03)
    assert (size.bytes, size.messages) == (2000, 8192)
    for _ in range(20):
        size.committed(0.001)
    assert 1000 <= size.bytes < 1010
    for _ in range(20):
        size.committed(60.0)
    assert 7900 < size.bytes <= 8000
