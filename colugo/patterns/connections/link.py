"""One connection to an advertised socket, or the attempt at one."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable

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


class Link:
    """The state of one connection.

    Args:
        runtime: the node's runtime.
        peer: the advertised socket.
        endpoint: the peer's endpoint.

    Attributes:
        peer: the advertised socket.
        endpoint: the peer's endpoint.
        connected: True from the peer's answer until the loss of the connection.
        leaving: True if the peer is no longer advertised; once lost, it is not connected to again.
        parked: True if the peer's host was cut off: the peer is not advertised, but expected back.
    """

    def __init__(self, runtime: Runtime, peer: Advertisement, endpoint: str) -> None:
        self._runtime = runtime
        self.peer = peer
        self.endpoint = endpoint
        self.connected = False
        self.leaving = False
        self.parked = False
        self._since = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def advertised(self) -> bool:
        """True if the peer was discovered, False if it was given by its address."""
        return bool(self.peer.topic)

    def describe(self) -> LinkDescription:
        """Return the description for introspection."""
        return LinkDescription(
            socket_id=self.peer.socket_id.hex(),
            node=self.peer.node,
            topic=self.peer.topic,
            endpoint=self.endpoint,
            connected=self.connected,
            since_ms=round((time.monotonic() - self._since) * 1000),
        )

    def mark_connected(self) -> None:
        """Record the peer's answer, and vouch for a peer that was parked."""
        self._set_connected(connected=True)
        self.cancel_timer()
        if self.parked:
            self.parked = False
            self._runtime.vouch(self.peer)

    def mark_disconnected(self) -> None:
        """Record the end of the connection."""
        self._set_connected(connected=False)

    def suspect(self) -> None:
        """Look for a lost peer at all its addresses, and let the directory verify its advertisement."""
        if self.advertised:
            self._runtime.endpoint_choice.forget(self.peer)
            self._runtime.suspect(self.peer)
        self.await_answer(soon=True)

    def await_answer(self, *, soon: bool = False) -> None:
        """Until the peer answers, let the directory verify its advertisement again and again.

        While the peer is advertised, it is also tried at its other addresses, and over tcp if its ipc file is
        gone.

        Args:
            soon: True to begin sooner, because the peer has answered before.
        """
        self.cancel_timer()
        if self.advertised:
            wait_s = _LOST_WAIT_S if soon else _ANSWER_WAIT_S
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._check_answer)

    def park(self, give_up: Callable[[], None]) -> None:
        """Keep the connection of a peer whose host does not answer; ZeroMQ retries for five minutes.

        When a cable is plugged in again or a Wi-Fi returns, both sides reconnect within a second.

        Args:
            give_up: called after these five minutes.
        """
        self.parked = True
        self.cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(_PARKED_S, give_up)

    def cancel_timer(self) -> None:
        """Stop waiting for an answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def retry(self) -> None:
        """Override to try again to connect; called while the peer does not answer."""

    def renew(self) -> None:
        """Override to replace an attempt to connect that began before the peer was back."""

    def _set_connected(self, *, connected: bool) -> None:
        self.connected = connected
        self._since = time.monotonic()

    def _check_answer(self) -> None:
        if self.connected or self.leaving:
            return
        self._runtime.suspect(self.peer)
        self.await_answer()
        self.retry()
        self._runtime.endpoint_choice.doubt(self.peer, self.endpoint)
        if len(self.peer.addresses) > 1 or is_file_missing(self.endpoint):
            self._runtime.registry.repeat(self.peer)


def is_cut_off(runtime: Runtime, endpoint: str) -> bool:
    """Return True if the host has lost the local address of the connection to an endpoint."""
    tcp = _TCP.fullmatch(endpoint)
    if tcp is None or not runtime.gone:
        return False
    try:
        return went_by(tcp[1].strip("[]"), runtime.gone, runtime.scope.addresses)
    except ValueError:  # a host's name
        return False


def plain_peer(endpoint: str, kind: SocketKind) -> Advertisement:
    """Return a stand-in for the advertisement of a peer that was given by its address.

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
