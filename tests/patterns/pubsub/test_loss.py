"""Every message is accounted for, whatever happens to readers and publishers."""

import json
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from tests.support.essentials import new_realm, seconds, wait_until
from tools.bench.processes import Child

KINDS = ("fast", "slow", "halting", "queued", "executor")
SETTLED_S = 10.0
QUICK = 1
MANY = 50


class Counted(Child):
    """A process of tests.programs.loss."""

    def __init__(self, role: str, realm: str, **options: Any) -> None:
        self.options = options
        super().__init__("tests.programs.loss", role, realm, json.dumps(options))

    def told(self, word: str, within: float = 10.0) -> Any:
        return json.loads(" ".join(self.expect(word, within=seconds(within))))

    def asked(self, word: str, answer: str, within: float = 10.0) -> Any:
        self.tell(word)
        return self.told(answer, within)

    def __exit__(self, *_: object) -> None:
        self.kill()

    def suspend(self, duration_s: float) -> None:
        """Stop it for a while, as a debugger or a laptop's lid does."""
        os.kill(self.pid, signal.SIGSTOP)
        time.sleep(duration_s)
        os.kill(self.pid, signal.SIGCONT)


@dataclass
class Pair:
    """The messages from one publisher to one reader."""

    sent: int
    joined_at: int
    handled: int
    received: int
    lost: int
    on_loss: int

    @property
    def settled(self) -> bool:
        return self.sent - self.joined_at == self.received + self.lost


class Scenario:
    """Some publishers and readers, and what happens to them; all of it follows from the seed."""

    def __init__(self, seed: int, stack: ExitStack) -> None:
        self._random = Random(seed)
        self._stack = stack
        self._realm = new_realm()
        random = self._random
        self._size = random.choice((64, 4096, 100_000))
        self._codec = random.choice((None, "json"))
        self._ipc = seed % 2 == 0
        self.publishers = [self._publisher() for _ in range(random.randint(1, 2))]
        self.readers = [self._reader() for _ in range(random.randint(1, 3))]
        for child in (*self.publishers, *self.readers):
            child.told("ready")
        for reader in self.readers:
            for _ in self.publishers:
                reader.told("joined")

    def _publisher(self) -> Counted:
        random = self._random
        marks = {"hwm": random.choice((1, 40, 700, 5000)), "max_bytes": random.choice((100_000, 4_000_000))}
        retain = {"retain": random.choice((0, 3))}
        return self._stack.enter_context(
            Counted(
                "publish",
                self._realm,
                seed=random.random(),
                size=self._size,
                options=marks | retain,
                port=None,
                ipc=self._ipc,
            )
        )

    def _reader(self) -> Counted:
        random = self._random
        return self._stack.enter_context(
            Counted(
                "read",
                self._realm,
                kind=random.choice(KINDS),
                queue=random.choice((10, 1000)),
                codec=self._codec,
                ipc=self._ipc,
            )
        )

    def disturb(self) -> None:
        """Let something happen to one of them."""
        random = self._random
        happening = random.choice(("reader stalls", "publisher stalls", "reader dies", "publisher dies"))
        group = self.readers if happening.startswith("reader") else self.publishers
        victim = random.choice(group)
        if happening.endswith("stalls"):
            victim.suspend(random.uniform(0.1, 1.0))
            return
        os.kill(victim.pid, signal.SIGKILL)
        born = group[group.index(victim)] = self._reader() if group is self.readers else self._publisher()
        born.told("ready")
        for reader in [born] if group is self.readers else self.readers:
            for _ in self.publishers if group is self.readers else [born]:
                reader.told("joined")

    def settle(self) -> list[dict[str, Pair]]:
        """Let all be quiet, and give what each reader has counted once it has settled."""
        sent: dict[str, int] = {}
        for publisher in self.publishers:
            sent |= publisher.asked("quiet", "sent", 30)

        def settled() -> bool:
            self.counted = [reader.asked("count", "counted", 30) for reader in self.readers]
            return all(
                all(pair.settled for pair in _pairs(one, sent).values()) and _unaccounted(one) == 0
                for one in self.counted
            )

        wait_until(settled, SETTLED_S)
        return [_pairs(one, sent) for one in self.counted]


def _unaccounted(counted: dict[str, Any]) -> int:
    """Messages that have come from any publisher, and were neither handled, nor dropped, nor undecodable."""
    handled = sum(counted["handled"].values())
    return int(counted["arrived"] - handled - counted["dropped"] - counted["undecodable"])


def _pairs(counted: dict[str, Any], sent: dict[str, int]) -> dict[str, Pair]:
    return {
        publisher: Pair(
            sent[publisher],
            joined_at,
            counted["handled"].get(publisher, 0),
            counted["received"].get(publisher, 0),
            counted["lost"].get(publisher, 0),
            counted["on_loss"].get(publisher, 0),
        )
        for publisher, joined_at in counted["joined_at"].items()
        if publisher in sent
    }


def play(seed: int) -> int:
    """Play a scenario; how many messages were lost in it."""
    with ExitStack() as stack:
        scenario = Scenario(seed, stack)
        random = Random(seed + 1000)
        for _ in range(random.randint(1, 4)):
            time.sleep(random.uniform(0.1, 0.5))
            scenario.disturb()
        readers = scenario.settle()
        for pairs, counted in zip(readers, scenario.counted, strict=True):
            assert len(pairs) == len(scenario.publishers), (seed, counted)
            for publisher, pair in pairs.items():
                assert pair.settled, (seed, publisher, pair, counted)
                assert pair.lost == pair.on_loss, (seed, pair)
            assert counted["malformed"] == counted["out_of_order"] == 0, (seed, counted)
            assert _unaccounted(counted) == 0, (seed, counted)
        return sum(pair.lost for pairs in readers for pair in pairs.values())


@pytest.mark.parametrize("seed", range(QUICK))
def test_what_was_sent_since_joining_is_handled_or_counted_as_lost_dropped_or_undecodable(seed: int) -> None:
    play(seed)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_fifty_random_scenarios_lose_nothing_in_silence() -> None:
    lost = [play(seed) for seed in range(QUICK, QUICK + MANY)]
    assert sum(count > 0 for count in lost) > MANY / 5
