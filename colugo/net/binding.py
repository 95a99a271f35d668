"""A bound socket: its port on each address of the scope, its Unix socket, and its advertisement."""

import dataclasses
import logging
from typing import Protocol
from uuid import UUID

import zmq

from colugo.errors import BindError
from colugo.net.addresses.interfaces import Scope, host_addresses, without_zone
from colugo.net.addresses.ipc import IpcFiles
from colugo.net.transport.sockets import bind, bind_also, unbind
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind, endpoint


class ScopeListener(Protocol):
    """An object that reacts to changes of the node's addresses."""

    def on_scope_change(self, scope: Scope) -> None:
        """Take the scope with its current addresses."""


class BindingRuntime(Protocol):
    """The part of a node's runtime that a binding uses."""

    name: str
    uuid: UUID
    realm: str
    host_id: str
    scope: Scope
    ipc: IpcFiles
    logger: logging.Logger

    def add_scope_listener(self, listener: ScopeListener) -> None:
        """Call the listener when the addresses change."""

    def remove_scope_listener(self, listener: ScopeListener) -> None:
        """Call the listener no more."""

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket from now on."""

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw an advertisement."""


class Binding:
    """The endpoints of a bound socket, and its advertisement, which follows the addresses of the host.

    Args:
        socket: its owner closes it, also if this raises.
        port: its TCP port; None for a free one.
        ipc: True to bind it to a Unix socket, too, for peers on this host.

    Raises:
        BindError: if the port cannot be had.
    """

    def __init__(
        self,
        runtime: BindingRuntime,
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
        self.advertisement = Advertisement(
            socket_id=socket_id,
            kind=kind,
            topic=topic,
            node=runtime.name,
            node_id=runtime.uuid.bytes,
            realm=runtime.realm,
            codec=codec,
            framing=framing,
            host_id=runtime.host_id,
            addresses=self._advertised(runtime.scope),
            port=self.port,
        )
        runtime.add_scope_listener(self)
        runtime.advertise(self.advertisement)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints that it is bound to: tcp, then ipc."""
        return [endpoint(address, self.port) for address in self._bound] + self._ipc

    def on_scope_change(self, scope: Scope) -> None:
        """Bind to new addresses, unbind those that the host has lost, and advertise the change."""
        for address in scope.addresses:
            if address not in self._bound:
                self._bind(address)
        present = host_addresses()
        for address in [one for one in self._bound if one not in present]:
            self._bound.remove(address)
            unbind(self._socket, address, self.port)
        self.advertisement = dataclasses.replace(self.advertisement, addresses=self._advertised(scope))
        self._runtime.advertise(self.advertisement)

    def advertise_linked(self, *, linked: bool) -> None:
        """Advertise if the node has links to nodes that mDNS does not reach."""
        if self.advertisement.linked is not linked:
            self.advertisement = dataclasses.replace(self.advertisement, linked=linked)
            self._runtime.advertise(self.advertisement)

    def close(self) -> None:
        """Withdraw the advertisement, and remove the Unix socket."""
        self._runtime.remove_scope_listener(self)
        self._runtime.withdraw(self.advertisement)
        self._runtime.ipc.remove(self._ipc)

    def _bind(self, address: str) -> None:
        try:
            bind_also(self._socket, address, self.port)
        except BindError as error:
            text = "%s cannot be reached at the new address %s: %s"
            self._runtime.logger.warning(text, self.advertisement.topic, address, error)
        else:
            self._bound.append(address)

    def _advertised(self, scope: Scope) -> tuple[str, ...]:
        return tuple(dict.fromkeys(without_zone(one) for one in scope.addresses if one in self._bound))
