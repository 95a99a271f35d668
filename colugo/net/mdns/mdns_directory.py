"""The directory on mDNS/DNS-SD, with an instance of `_colugo._tcp.local.` for each bound socket."""

from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryStatus, Listener
from colugo.net.mdns.shared_responder import SharedResponder
from colugo.protocol.advertisement import Advertisement


class MdnsDirectory:
    """A node's directory on mDNS; nodes of one loop and scope share one responder, browser and cache."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._responder: SharedResponder | None = None
        self._listener: Listener | None = None
        self._own: dict[bytes, Advertisement] = {}

    @property
    def status(self) -> DirectoryStatus:
        """The use of mDNS, and the ignored records."""
        return DirectoryStatus(mdns=True, ignored={} if self._responder is None else self._responder.ignored)

    async def open(self, listener: Listener) -> None:
        """Send a one-shot query, and browse from now on."""
        self._listener = listener
        self._responder = SharedResponder.of(self._scope)
        await self._responder.join(listener)

    def advertise(self, advertisement: Advertisement) -> None:
        """Announce a socket, paced and in the background, or a change of its addresses.

        Probing is not needed, because the id makes the label unique.
        """
        if self._responder is not None:
            self._own[advertisement.socket_id] = advertisement
            self._responder.advertise(advertisement)

    def withdraw(self, advertisement: Advertisement) -> None:
        """Send a goodbye (RFC 6762 §10.1)."""
        if self._responder is not None and self._own.pop(advertisement.socket_id, None) is not None:
            self._responder.withdraw([advertisement])

    def suspect(self, advertisement: Advertisement) -> None:
        """Query the socket's SRV record.

        Without an answer in about a second, its port is probed. The socket is down if the host refuses the
        connection, and lost if the host does not answer.
        """
        if self._responder is not None:
            self._responder.suspect(advertisement)

    def vouch(self, advertisement: Advertisement) -> None:
        """Restore a socket, and query all records, because it may have changed meanwhile."""
        if self._responder is not None:
            self._responder.vouch(advertisement)

    async def close(self) -> None:
        """Send goodbyes for the remaining sockets; the last user also closes the shared responder."""
        responder, self._responder = self._responder, None
        if responder is not None and self._listener is not None:
            responder.withdraw(list(self._own.values()))
            self._own.clear()
            await responder.leave(self._listener)
