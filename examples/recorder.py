"""A subscriber that writes readings to a SQLite database, in batches.

    python examples/recorder.py readings.db
    python examples/meter.py      in a second terminal

Without a file it writes to memory. batch=True delivers lists of messages, and executor=True runs the callback
on a thread, so that the database does not block the node.
"""

import logging
import sqlite3
import sys

from colugo import MessageInfo, Node

READING = tuple[int, float]


class Recorder(Node):
    def __init__(self, name: str, file: str) -> None:
        super().__init__(name)
        self.database = sqlite3.connect(file, check_same_thread=False)  # only one thread uses it at a time
        self.database.execute("CREATE TABLE IF NOT EXISTS readings (number INTEGER, celsius REAL)")
        self.rows = 0
        self.add_subscriber(
            "meter.readings", self.write, codec="json", batch=True, executor=True, on_loss=self.lost
        )

    def write(self, readings: list[READING]) -> None:
        with self.database:
            self.database.executemany("INSERT INTO readings VALUES (?, ?)", readings)
        before, self.rows = self.rows, self.rows + len(readings)
        if before // 1000 != self.rows // 1000:
            print(f"wrote {self.rows} rows, the last with number {readings[-1][0]}")

    def lost(self, info: MessageInfo, count: int) -> None:
        self.logger.warning("lost %d readings from %s", count, info.peer)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Recorder("recorder", sys.argv[1] if sys.argv[1:] else ":memory:").start()
