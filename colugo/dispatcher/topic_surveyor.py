"""Surveys of the producers of one topic on other nodes."""

import time
from functools import partial
from typing import TYPE_CHECKING

from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.remote_request import SealedCodec
from colugo.dispatcher.request import Request
from colugo.errors import PeerLostError
from colugo.node import Node
from colugo.patterns.requests.survey import Survey
from colugo.protocol.advertisement import Advertisement, SocketKind

if TYPE_CHECKING:
    from collections.abc import Callable

DISCOVERY_MS = 200
"""The longest time that the first requests wait for known producers to be connected."""


class TopicSurveyor:
    """A surveyor, and the requests that wait until it has connected to the known producers.

    It is used on the node's thread. `discovering` is True if the node has just started, and may discover
    producers any moment.
    """

    def __init__(
        self, node: Node, topic: str, codec: SealedCodec, open_requests: OpenRequests, *, discovering: bool
    ) -> None:
        self._node = node
        self._topic = topic
        self._open_requests = open_requests
        self._waiting: list[Callable[[], None]] | None = []
        self._surveyor = node.add_surveyor(topic, self._check_connected, codec=codec, own=False)
        self._timer = node.add_delayed_callback(DISCOVERY_MS, self._begin)
        self._discovering = discovering
        self._check_connected()

    def ask(self, request: Request, sealed: bytes) -> None:
        """Survey the connected producers, once those that are known are connected."""
        if self._waiting is None:
            self._ask(request, sealed)
        else:
            self._waiting.append(partial(self._ask, request, sealed))

    def close(self) -> None:
        """Disconnect; pending requests end at their ttl."""
        self._timer.close()
        self._surveyor.close()

    def _check_connected(self) -> None:
        connected = set(self._surveyor.respondents)
        known = {peer for peer in self._node.advertisements if self._is_other(peer)}
        if known <= connected and not self._discovering:
            self._timer.close()
            self._begin()

    def _is_other(self, peer: Advertisement) -> bool:
        is_respondent = (peer.kind, peer.topic) == (SocketKind.RESPONDENT, self._topic)
        return is_respondent and peer.node_id != self._node.uuid.bytes

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, None
        for ask in waiting or ():
            ask()

    def _ask(self, request: Request, sealed: bytes) -> None:
        left_ms = (request.deadline - time.monotonic()) * 1000
        if left_ms <= 0:
            self._open_requests.survey_ended(request, {}, 0)
            return
        self._surveyor.send(
            sealed,
            partial(self._done, request),
            timeout_ms=left_ms,
            on_reply=partial(self._open_requests.remote_answered, request),
        )

    def _done(self, request: Request, survey: Survey) -> None:
        lost = {peer: PeerLostError(f"{peer} left before it had answered") for peer in survey.left}
        self._open_requests.survey_ended(request, {**survey.failed, **lost}, len(survey.silent))
