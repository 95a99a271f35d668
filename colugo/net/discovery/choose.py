"""The default choice of a node's directory."""

from dataclasses import dataclass

from colugo.net.directory import Directory
from colugo.net.discovery.combined_directory import CombinedDirectory
from colugo.net.discovery.static_directory import StaticDirectory
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.mdns.mdns_directory import MdnsDirectory
from colugo.net.runtime import Runtime


@dataclass(frozen=True, slots=True)
class DirectoryChoice:
    """A directory of links to other nodes, with or without mDNS."""

    runtime: Runtime
    peers: tuple[StaticPeer, ...]
    mdns: bool

    @property
    def note(self) -> str:
        """A remark for the user; empty for mDNS without static peers."""
        peers = f"peers {', '.join(map(str, self.peers))}" if self.peers else ""
        if self.mdns:
            return peers
        return f"without mDNS, {peers or 'only nodes that link to this one are found'}"

    def make(self) -> Directory:
        """Create the directory, on the running loop."""
        static = StaticDirectory(self.runtime, self.peers)
        if not self.mdns:
            return static
        return CombinedDirectory([MdnsDirectory(self.runtime.scope), static], observer=static.observe)
