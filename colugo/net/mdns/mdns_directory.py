"""The directory on mDNS/DNS-SD: one instance of `_colugo._tcp.local.` a bound socket."""

from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryStatus, Listener
from colugo.net.mdns.shared_responder import SharedResponder
from colugo.protocol.advertisement import Advertisement


class MdnsDirectory:
    """A node's directory on mDNS.

    Nodes of one loop and scope share one responder, browser and cache.

    Args:
        scope: the interfaces to use.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._link: SharedResponder | None = None
        self._listener: Listener | None = None
        self._own: dict[bytes, Advertisement] = {}

    @property
    def status(self) -> DirectoryStatus:
        """What there is to say of it."""
        return DirectoryStatus(mdns=True, ignored={} if self._link is None else self._link.ignored)

    async def open(self, listener: Listener) -> None:
        """Ask the network at once, by a one-shot query, and browse from then on."""
        self._listener = listener
        self._link = SharedResponder.of(self._scope)
        await self._link.enter(listener)

    def advertise(self, advertisement: Advertisement) -> None:
        """Announce without probing (the label is unique by its id); paced, in the background.

        Again, with other addresses: announce the change.
        """
        if self._link is not None:
            self._own[advertisement.socket_id] = advertisement
            self._link.advertise(advertisement)

    def withdraw(self, advertisement: Advertisement) -> None:
        """Say goodbye (RFC 6762 §10.1)."""
        if self._link is not None and self._own.pop(advertisement.socket_id, None) is not None:
            self._link.withdraw([advertisement])

    def suspect(self, advertisement: Advertisement) -> None:
        """Ask for its SRV record.

        Without an answer in about a second, its port is tried. It is down if the host refuses the connection,
        and lost if the host does not answer either.
        """
        if self._link is not None:
            self._link.suspect(advertisement)

    def vouch(self, advertisement: Advertisement) -> None:
        """Take it for advertised again, and ask for all records: it may have changed meanwhile."""
        if self._link is not None:
            self._link.vouch(advertisement)

    async def close(self) -> None:
        """Say goodbye for what is left, and close the shared parts if this was the last user."""
        link, self._link = self._link, None
        if link is not None and self._listener is not None:
            link.withdraw(list(self._own.values()))
            self._own.clear()
            await link.leave(self._listener)
