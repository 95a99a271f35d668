"""How a node finds others, unless it is given a directory."""

from dataclasses import dataclass

from colugo.net.directory import Directory
from colugo.net.discovery.combined_directory import CombinedDirectory
from colugo.net.discovery.static_directory import StaticDirectory
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.mdns.mdns_directory import MdnsDirectory
from colugo.net.runtime import Runtime


@dataclass(frozen=True, slots=True)
class DirectoryChoice:
    """mDNS, and links to other nodes.

    Attributes:
        runtime: the node's.
        peers: given by address.
        mdns: whether to use mDNS.
    """

    runtime: Runtime
    peers: tuple[StaticPeer, ...]
    mdns: bool

    @property
    def note(self) -> str:
        """What the user should know of it; empty if it is as always."""
        peers = f"peers {', '.join(map(str, self.peers))}" if self.peers else ""
        if self.mdns:
            return peers
        return f"without mDNS, {peers or 'only who links to this node is found'}"

    def make(self) -> Directory:
        """The directory, on the running loop."""
        static = StaticDirectory(self.runtime, self.peers)
        if not self.mdns:
            return static
        return CombinedDirectory([MdnsDirectory(self.runtime.scope), static], overhear=static.hear)
