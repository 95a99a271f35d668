"""The calls of a consumer's callback."""

from types import SimpleNamespace
from typing import Any

import pytest

from colugo.patterns.callbacks import Handler
from colugo.patterns.streams.consuming import on_loop as running
from colugo.patterns.streams.consuming.delivery import DeliverySource, ReceivedMessage
from colugo.patterns.streams.consuming.handling import CallbackRunner, ConsumerCounts
from colugo.patterns.streams.consuming.on_loop import OnLoop
from colugo.protocol.codecs import resolve_codec
from tests.support.scheduling import OwnTimeLoop, runtime_on


class Link:
    """Records acknowledgements, frame by frame."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []

    def acknowledge_all(self, seqs: list[int]) -> None:
        self.frames.append(seqs)


@pytest.mark.parametrize(("prefetch", "most"), [(1, 1), (2, 1), (8, 4), (9, 5), (1000, 64)])
def test_half_of_what_a_consumer_may_have_is_acknowledged_while_the_others_wait(
    prefetch: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # callbacks that take no time, also where other programs hold this one up
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: 0.0))
    loop = OwnTimeLoop()
    runtime = runtime_on(loop)
    link: Any = Link()
    source = DeliverySource(b"12345678", link=link)
    got: list[Any] = []
    handler = Handler(runtime, got.append, "callback", least=1, most=2)
    codec = resolve_codec(None)
    runner = CallbackRunner(runtime, handler, codec, auto_ack=True, counts=ConsumerCounts())
    handling = OnLoop(runner, codec, simple=True, prefetch=prefetch)

    async def put() -> None:
        handling.put(ReceivedMessage(source, seq, 0, 1, 0, "", b"", b"%d" % seq) for seq in range(1, 128))

    loop.do(put())
    loop.turns(200)
    loop.close()
    assert got == [b"%d" % seq for seq in range(1, 128)]
    assert [seq for frame in link.frames for seq in frame] == list(range(1, 128))
    assert max(map(len, link.frames)) == most
