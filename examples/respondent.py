"""Answers a survey: how much of the disk of this machine is free.

python examples/respondent.py
python examples/respondent.py 90    another one, that takes part only if more than 90 % are used
python examples/surveyor.py         in one more terminal: asks all of them
"""

import logging
import shutil
import sys

from colugo import Decline, Node


class Respondent(Node):
    """Answers with the free space in GB, or takes no part if there is enough of it."""

    def __init__(self, least_used: float = 0.0) -> None:
        super().__init__("respondent")
        self.least_used = least_used
        self.add_respondent("disk.free", self.answer, codec="json")

    def answer(self, question: dict[str, str]) -> float:
        disk = shutil.disk_usage(question["path"])
        used = 100 * disk.used / disk.total
        if used < self.least_used:
            print(f"asked for {question['path']}: {used:.0f} % used, no need to answer")
            raise Decline
        print(f"asked for {question['path']}: {disk.free / 1e9:.1f} GB free")
        return round(disk.free / 1e9, 1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Respondent(*map(float, sys.argv[1:2])).start()
