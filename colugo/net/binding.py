"""A bound socket: its port on each address of the scope, its file, and what is told of it."""

import dataclasses
import logging
from typing import Protocol

import zmq

from colugo.errors import BindError
from colugo.net.addresses.interfaces import Scope, host_addresses, without_zone
from colugo.net.addresses.ipc import IpcFiles
from colugo.net.transport.sockets import bind, bind_also, unbind
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind, endpoint


class Follower(Protocol):
    """What follows the addresses of the host."""

    def follow(self, scope: Scope) -> None:
        """Take in the scope as it is now."""


class Home(Protocol):
    """What a binding needs of its node's runtime."""

    scope: Scope
    ipc: IpcFiles
    logger: logging.Logger
    followers: dict[Follower, None]

    def advertisement(
        self,
        kind: SocketKind,
        topic: str,
        port: int,
        *,
        addresses: tuple[str, ...],
        codec: str,
        framing: Framing = Framing.COLUGO,
        socket_id: bytes,
    ) -> Advertisement:
        """Describe one of the node's sockets."""

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise from now on."""

    def withdraw(self, advertisement: Advertisement) -> None:
        """Take it back."""


class Binding:
    """Where a socket can be met, and its advertisement, which follows the addresses of the host.

    Args:
        runtime: the node's.
        socket: the socket; its owner closes it, also if this raises.
        kind: what kind of socket it is.
        topic: its topic.
        socket_id: its id.
        codec: name of its codec.
        framing: of its messages.
        port: TCP port; None for a free one.
        ipc: whether it has a file for peers on this host.

    Raises:
        BindError: if the port cannot be had.
    """

    def __init__(
        self,
        runtime: Home,
        socket: zmq.Socket[bytes],
        kind: SocketKind,
        topic: str,
        *,
        socket_id: bytes,
        codec: str,
        framing: Framing = Framing.COLUGO,
        port: int | None = None,
        ipc: bool = True,
    ) -> None:
        self._runtime = runtime
        self._socket = socket
        self.port, self._bound = bind(socket, runtime.scope.addresses, port)
        self._ipc = runtime.ipc.bind(socket, socket_id) if ipc else []
        self.advertisement = runtime.advertisement(
            kind,
            topic,
            self.port,
            addresses=self._advertised(runtime.scope),
            codec=codec,
            framing=framing,
            socket_id=socket_id,
        )
        runtime.followers[self] = None
        runtime.advertise(self.advertisement)

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound: tcp, then ipc."""
        return [endpoint(address, self.port) for address in self._bound] + self._ipc

    def follow(self, scope: Scope) -> None:
        """Bind to addresses that are new, leave those that the host has no more, and tell everyone."""
        for address in scope.addresses:
            if address not in self._bound:
                self._bind(address)
        there = host_addresses()
        for address in [one for one in self._bound if one not in there]:
            self._bound.remove(address)
            unbind(self._socket, address, self.port)
        self.advertisement = dataclasses.replace(self.advertisement, addresses=self._advertised(scope))
        self._runtime.advertise(self.advertisement)

    def say_linked(self, *, linked: bool) -> None:
        """Advertise whether the node has links to others that mDNS does not reach."""
        if self.advertisement.linked is not linked:
            self.advertisement = dataclasses.replace(self.advertisement, linked=linked)
            self._runtime.advertise(self.advertisement)

    def close(self) -> None:
        """Withdraw it, and remove its file."""
        self._runtime.followers.pop(self, None)
        self._runtime.withdraw(self.advertisement)
        self._runtime.ipc.remove(self._ipc)

    def _bind(self, address: str) -> None:
        try:
            bind_also(self._socket, address, self.port)
        except BindError as error:
            text = "%s is not to be met at the new address %s: %s"
            self._runtime.logger.warning(text, self.advertisement.topic, address, error)
        else:
            self._bound.append(address)

    def _advertised(self, scope: Scope) -> tuple[str, ...]:
        return tuple(dict.fromkeys(without_zone(one) for one in scope.addresses if one in self._bound))
