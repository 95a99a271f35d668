"""What a connecting side knows of its connections: one link an advertised socket."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from colugo.errors import ConfigurationError
from colugo.net.addresses.ipc import is_file_missing
from colugo.net.addresses.probe import went_by
from colugo.net.runtime import Runtime
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind
from colugo.protocol.description.socket_descriptions import LinkDescription
from colugo.protocol.frames import NO_ID

_ANSWER_WAIT_S = 2.0
_LOST_WAIT_S = 0.5
_PARKED_S = 300.0
_TCP = re.compile(r"tcp://([^\s/*]+):(\d{1,5})")
_MAX_PORT = 65535


@dataclass(eq=False, slots=True)
class Link:
    """One connection, or the attempt at one.

    Attributes:
        peer: the advertised socket.
        endpoint: where it is.
        connected: whether it has answered and not been lost since.
        leaving: whether it is no longer advertised: it is not connected to again once it is lost.
        parked: whether its host was cut off: it is not advertised, but waited for.
        timer: the next look at it.
        since: when `connected` has changed last, seconds of `time.monotonic`.
    """

    peer: Advertisement
    endpoint: str
    connected: bool = False
    leaving: bool = False
    parked: bool = False
    timer: asyncio.TimerHandle | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def advertised(self) -> bool:
        """Whether it was discovered; else it was given by its address."""
        return bool(self.peer.topic)

    def set_connected(self, *, connected: bool) -> None:
        """Enter that it has answered, or has been lost."""
        self.connected = connected
        self.since = time.monotonic()

    def describe(self) -> LinkDescription:
        """What the node says of it."""
        return LinkDescription(
            socket_id=self.peer.socket_id.hex(),
            node=self.peer.node,
            topic=self.peer.topic,
            endpoint=self.endpoint,
            connected=self.connected,
            since_ms=round((time.monotonic() - self.since) * 1000),
        )

    def cancel_timer(self) -> None:
        """Stop looking."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def doubt_if_silent(
    runtime: Runtime, link: Link, retry: Callable[[Link], None] | None = None, *, soon: bool = False
) -> None:
    """As long as the link does not answer, let the directory look whether it is still advertised.

    If it is, it is looked for at its other addresses, too, and over tcp if its file is gone.

    Args:
        runtime: the node's.
        link: the link.
        retry: called then, too.
        soon: whether to begin soon: it has answered before.
    """

    def look() -> None:
        if link.connected or link.leaving:
            return
        runtime.suspect(link.peer)
        doubt_if_silent(runtime, link, retry)
        if retry is not None:
            retry(link)
        runtime.routes.doubt(link.peer, link.endpoint)
        if len(link.peer.addresses) > 1 or is_file_missing(link.endpoint):
            runtime.registry.repeat(link.peer)

    link.cancel_timer()
    if link.advertised:
        wait_s = _LOST_WAIT_S if soon else _ANSWER_WAIT_S
        link.timer = asyncio.get_running_loop().call_later(wait_s, look)


def park(link: Link, give_up: Callable[[], None]) -> None:
    """The peer's host does not answer: ZeroMQ goes on trying to connect, for some minutes.

    So a cable that is plugged in again, or a Wi-Fi that is back, joins both sides within a second.

    Args:
        link: the link.
        give_up: called when these minutes are over.
    """
    link.parked = True
    link.cancel_timer()
    link.timer = asyncio.get_running_loop().call_later(_PARKED_S, give_up)


def is_cut_off(runtime: Runtime, endpoint: str) -> bool:
    """Whether a connection to an endpoint is dead, because the host has lost the address it came from."""
    tcp = _TCP.fullmatch(endpoint)
    if tcp is None or not runtime.gone:
        return False
    try:
        return went_by(tcp[1].strip("[]"), runtime.gone, runtime.scope.addresses)
    except ValueError:  # a host's name
        return False


def plain_peer(endpoint: str, kind: SocketKind) -> Advertisement:
    """What stands for a peer that was given by address and says nothing of itself.

    Raises:
        ConfigurationError: if the endpoint is not `tcp://host:port` or `ipc://path`.
    """
    if not isinstance(endpoint, str) or not _is_endpoint(endpoint):
        raise ConfigurationError(f'connect= takes endpoints like "tcp://192.0.2.7:5556", not {endpoint!r}')
    return Advertisement(
        socket_id=NO_ID,
        kind=kind,
        topic="",
        node=endpoint,
        node_id=uuid.UUID(int=0).bytes,
        framing=Framing.RAW,
    )


def _is_endpoint(endpoint: str) -> bool:
    tcp = _TCP.fullmatch(endpoint)
    if tcp is not None:
        return 0 < int(tcp[2]) <= _MAX_PORT
    return re.fullmatch(r"ipc://\S+", endpoint) is not None
