"""A respondent: answers surveys with the free disk space of this machine.

python examples/respondent.py
python examples/respondent.py 90    another one, which declines unless more than 90 % is used
python examples/surveyor.py         in another terminal: surveys all of them
"""

import logging
import shutil
import sys

from colugo import Decline, Node


class Respondent(Node):
    """A node that answers with the free space in GB, or declines if there is enough."""

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
