"""Asking the producers of one topic that are on other nodes."""

import time
from functools import partial
from typing import TYPE_CHECKING

from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.request import Request
from colugo.dispatcher.sealed import SealedCodec
from colugo.errors import PeerLostError
from colugo.node import Node
from colugo.patterns.requests.survey import Survey
from colugo.protocol.advertisement import Advertisement, SocketKind

if TYPE_CHECKING:
    from collections.abc import Callable

MEETING_MS = 200
"""How long the first requests wait at most for those that are there to be connected."""


class TopicSurveyor:
    """A surveyor, and the requests that wait until it has met those that are known. On the node's thread.

    Args:
        node: the node.
        topic: the topic.
        codec: of requests and results.
        ledger: is told what comes.
        fresh: whether the node itself has just started, and may know of somebody any moment.
    """

    def __init__(
        self, node: Node, topic: str, codec: SealedCodec, ledger: OpenRequests, *, fresh: bool
    ) -> None:
        self._node = node
        self._topic = topic
        self._ledger = ledger
        self._waiting: list[Callable[[], None]] | None = []
        self._surveyor = node.add_surveyor(topic, self._look, codec=codec, own=False)
        self._timer = node.add_delayed_callback(MEETING_MS, self._begin)
        self._fresh = fresh
        self._look()

    def ask(self, request: Request, sealed: bytes) -> None:
        """Ask all that are connected; those that are known and not connected yet are waited for."""
        if self._waiting is None:
            self._ask(request, sealed)
        else:
            self._waiting.append(partial(self._ask, request, sealed))

    def close(self) -> None:
        """Leave them; requests under way end at their ttl."""
        self._timer.close()
        self._surveyor.close()

    def _look(self) -> None:
        connected = set(self._surveyor.respondents)
        known = {peer for peer in self._node.advertisements if self._is_other(peer)}
        if known <= connected and not self._fresh:
            self._timer.close()
            self._begin()

    def _is_other(self, peer: Advertisement) -> bool:
        its_kind = (peer.kind, peer.topic) == (SocketKind.RESPONDENT, self._topic)
        return its_kind and peer.node_id != self._node.uuid.bytes

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, None
        for ask in waiting or ():
            ask()

    def _ask(self, request: Request, sealed: bytes) -> None:
        left_ms = (request.deadline - time.monotonic()) * 1000
        if left_ms <= 0:
            self._ledger.surveyed(request, {}, 0)
            return
        self._surveyor.send(
            sealed,
            partial(self._done, request),
            timeout_ms=left_ms,
            on_reply=lambda value: self._ledger.heard(request, value),
        )

    def _done(self, request: Request, survey: Survey) -> None:
        lost = {peer: PeerLostError(f"{peer} was gone before it had answered") for peer in survey.left}
        self._ledger.surveyed(request, {**survey.failed, **lost}, len(survey.silent))
