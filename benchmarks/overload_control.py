"""The control of bench_overload: a subscriber that acknowledges what it puts into a queue, and commits from there."""

import json
import queue
import sqlite3
import sys

import paho.mqtt.client as mqtt

GROUP = 1000


def main() -> None:
    """PORT and the database's file."""
    database = sqlite3.connect(sys.argv[2], isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE reading (time INTEGER, value REAL)")
    waiting: queue.Queue[bytes] = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "overload_control", protocol=mqtt.MQTTv5)
    client.on_message = lambda client, data, message: waiting.put(message.payload)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.subscribe("o/control", 1)
    client.loop_start()
    while True:
        group = [waiting.get()]
        while len(group) < GROUP and not waiting.empty():
            group.append(waiting.get())
        database.execute("BEGIN")
        bodies = [json.loads(each) for each in group]
        database.executemany("INSERT INTO reading VALUES (?, ?)", [(body["t"], body["v"]) for body in bodies])
        database.execute("COMMIT")


if __name__ == "__main__":
    main()
