"""The four programs of the original colugo's README run as they were written, in any start order."""

import hashlib
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.support.essentials import ROOT, Program, new_realm, seconds

FOLDER = ROOT / "tests" / "data" / "original"
DIGESTS = {
    "publisher": "146bd93c2b80a4d937c2badba7966ddc2b06c6acf8dd244f845977520a5d3e8c",
    "subscriber": "d058c9c0f4cfb38059706a2424a9a18ffb56c556d3dff9bc02cd19313ade62ef",
    "request_client": "32d8765134ebf84cb252431e508f48cbce38f4b0d8da1026f58627a45feac532",
    "reply_server": "681a3e9616e11406e4721fabb6c10bcfe14a8db397c6c040abb80cd127dbcddf",
}
STOP_WITHIN_S = 1.0

ROUNDS = 200
AT_ONCE = 2
"""Rounds that run side by side: each of them mostly waits for messages that come once a second."""


class Round:
    """One start of the four programs in a realm of their own, all of it decided by the seed.

    Args:
        seed: of the order in which they start and of that in which they stop. With an even one they
            start at once; with an odd one each starts when the one before it runs.
    """

    def __init__(self, seed: int) -> None:
        choice = random.Random(seed)
        self.starts = choice.sample(sorted(DIGESTS), len(DIGESTS))
        self.stops = choice.sample(sorted(DIGESTS), len(DIGESTS))
        self._one_by_one = seed % 2 == 1
        self._programs: dict[str, Program] = {}

    def play(self) -> None:
        """Run it; an AssertionError shows what every program has printed."""
        realm = new_realm()
        with ExitStack() as stack:
            try:
                for name in self.starts:
                    program = Program([f"tests/data/original/{name}.py"], realm=realm)
                    self._programs[name] = stack.enter_context(program)
                    if self._one_by_one:
                        self._await(name, "scope host")
                self._talk()
                for name in self.stops:
                    self._stop(name)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self._report()}") from None

    def _talk(self) -> None:
        self._await("subscriber", "[SubscriberExample](INFO) Received message: Message")
        self._await("request_client", "[RequestClient](INFO) Got reply: Message 0")
        self._await("request_client", "[RequestClient](INFO) Got reply: Message 1")
        self._await("reply_server", "[ReplyServer](INFO) Got request message: Message 1")

    def _await(self, name: str, text: str) -> None:
        """Return when the program has printed the text, also if that was before it was waited for."""
        program = self._programs[name]
        if not any(text in line for line in program.lines):
            program.expect(text)

    def _stop(self, name: str) -> None:
        program = self._programs[name]
        began = time.monotonic()
        program.signal(signal.SIGINT)
        status = program.wait()
        took = time.monotonic() - began
        assert status == 0, f"{name} ended with status {status}"
        assert took <= seconds(STOP_WITHIN_S), f"{name} took {took:.2f} s from SIGINT to its end"
        output = "\n".join(program.lines)
        assert "Traceback" not in output, f"a traceback in the output of {name}"

    def _report(self) -> str:
        return "\n".join(
            f"--- {name}\n" + "\n".join(program.lines) for name, program in self._programs.items()
        )


def test_the_programs_are_byte_for_byte_those_of_the_original() -> None:
    digests = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.py")}
    assert digests == DIGESTS


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.measures]) for seed in (1, 2))]
)
def test_messages_and_replies_flow_in_any_start_order(seed: int) -> None:
    Round(seed).play()


@pytest.mark.slow
@pytest.mark.measures
@pytest.mark.timeout(seconds(900))
def test_messages_and_replies_flow_in_200_starts_in_random_order() -> None:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="test round") as pool:
        rounds = {seed: pool.submit(Round(seed).play) for seed in range(ROUNDS)}
    failures = {seed: error for seed, future in rounds.items() if (error := future.exception()) is not None}
    text = "\n\n".join(f"=== seed {seed}: {error}" for seed, error in failures.items())
    assert not failures, f"{len(failures)} of {ROUNDS} rounds failed\n{text}"
