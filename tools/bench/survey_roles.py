"""The processes of surveys: `python -m tools.bench.survey_roles ROLE LIBRARY PORT …`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from tools.bench.roles import obey, say

_TOPIC = "bench.survey"
_TIMEOUT_MS = 20_000


class Asker(Protocol):
    """One library's surveyor."""

    async def open(self, respondents: int) -> None:
        """Begin; return when so many respondents can be asked."""

    async def ask(self, message: bytes, respondents: int) -> int:
        """Ask all, and return how many have sent the message back."""

    async def close(self) -> None:
        """End."""


class ColugoAsker:
    """A node with a surveyor."""

    def __init__(self, port: int) -> None:
        from colugo import Node  # noqa: PLC0415 - each library is loaded where it is measured only

        self._node = Node("asker", realm=f"bench.{port}")
        self._surveyor = self._node.add_surveyor(_TOPIC)

    async def open(self, respondents: int) -> None:
        """Begin; return when so many respondents can be asked."""
        await self._node.__aenter__()
        await self._surveyor.ready(respondents)

    async def ask(self, message: bytes, respondents: int) -> int:
        """Ask all, and return how many have sent the message back."""
        del respondents
        survey = await self._surveyor.survey(message, _TIMEOUT_MS)
        return sum(reply == message for reply in survey.replies.values())

    async def close(self) -> None:
        """End."""
        await self._node.aclose()


class PynngAsker:
    """A surveyor socket that blocks, with one survey at a time: that is how it is fastest."""

    def __init__(self, port: int) -> None:
        import pynng  # noqa: PLC0415 - as above

        self._socket = pynng.Surveyor0(listen=f"tcp://127.0.0.1:{port}", survey_time=_TIMEOUT_MS)

    async def open(self, respondents: int) -> None:
        """Begin; return when so many respondents can be asked."""
        while len(self._socket.pipes) < respondents:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)

    async def ask(self, message: bytes, respondents: int) -> int:
        """Ask all, and return how many have sent the message back: it cannot know how many there are."""
        self._socket.send(message)
        return sum(self._socket.recv() == message for _ in range(respondents))

    async def close(self) -> None:
        """End."""
        self._socket.close()


_ASKERS: dict[str, Callable[[int], Asker]] = {
    "colugo": ColugoAsker,
    "pynng": PynngAsker,
}


def respond(library: str, port: str) -> None:
    """Send back whatever is asked."""
    if library == "colugo":
        from colugo import Node  # noqa: PLC0415 - as above

        node = Node("respondent", realm=f"bench.{port}")
        node.add_respondent(_TOPIC, lambda message: message)
        with node.running():
            say("ready")
            obey({})
        return
    import pynng  # noqa: PLC0415 - as above

    with pynng.Respondent0(dial=f"tcp://127.0.0.1:{port}") as socket:
        import threading  # noqa: PLC0415 - for this library only

        threading.Thread(target=_echo, args=(socket,), daemon=True).start()
        say("ready")
        obey({})


def _echo(socket: Any) -> None:
    import pynng  # noqa: PLC0415 - as above

    try:
        while True:
            socket.send(socket.recv())
    except pynng.Closed:
        return


def survey(library: str, port: str, respondents: str) -> None:
    """Ask all, so many times, with so many surveys under way: `ask SIZE COUNT IN_FLIGHT`."""
    loop = asyncio.new_event_loop()
    asker = _ASKERS[library](int(port))
    loop.run_until_complete(asker.open(int(respondents)))
    say("ready")

    async def ask_some(message: bytes, count: int) -> int:
        return sum([await asker.ask(message, int(respondents)) for _ in range(count)])

    def ask(size: str, count: str, in_flight: str) -> None:
        workers: list[Awaitable[int]] = []
        for number in range(int(in_flight)):
            share = int(count) // int(in_flight) + (number < int(count) % int(in_flight))
            workers.append(ask_some(b"x" * int(size), share))

        async def work() -> int:
            return sum(await asyncio.gather(*workers))

        began = time.monotonic_ns()
        answered = loop.run_until_complete(work())
        say(f"asked {answered} {time.monotonic_ns() - began}")

    obey({"ask": ask})
    loop.run_until_complete(asker.close())


_ROLES: dict[str, Callable[..., None]] = {"respond": respond, "survey": survey}

if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    _ROLES[role](*arguments)
