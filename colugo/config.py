"""The configuration of a node: its options, with the environment variables that stand in for them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict, Unpack

from colugo.errors import ConfigurationError
from colugo.net.addresses.interfaces import Scope, resolve_scope
from colugo.net.directory import Directory
from colugo.net.discovery.combined_directory import CombinedDirectory
from colugo.net.discovery.static_directory import StaticDirectory
from colugo.net.discovery.static_peers import StaticPeer, check_peers
from colugo.net.mdns.mdns_directory import MdnsDirectory
from colugo.net.runtime import Runtime
from colugo.net.transport.port_choice import ANY_PORT, PortChoice, check_port
from colugo.net.transport.sockets import DEFAULT_MAX_MESSAGE_BYTES, Sockets
from colugo.protocol.advertisement import check_realm

_MIN_MESSAGE_BYTES = 1024


class NodeOptions(TypedDict, total=False):
    """The keyword arguments of `Node`, which describes them; for `**options: Unpack[NodeOptions]`."""

    realm: str | None
    scope: str | None
    directory: Directory | None
    max_message_bytes: int
    ipc: bool | None
    port: int | None
    peers: Iterable[str] | None
    mdns: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The settings of one node, checked. No other module reads environment variables.

    Attributes:
        runtime_dir: the folder of this user for Unix sockets; an unusable one stands for the system's
            temporary folder.
        directory: used instead of mDNS and peers, if it is not None.

    Raises:
        ConfigurationError: if `max_message_bytes` is too small.
    """

    realm: str
    scope: Scope
    peers: tuple[StaticPeer, ...] = ()
    mdns: bool = True
    ipc: bool = True
    runtime_dir: Path = Path()
    port: PortChoice = ANY_PORT
    directory: Directory | None = None
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        limit = self.max_message_bytes
        if not isinstance(limit, int) or limit < _MIN_MESSAGE_BYTES:
            raise ConfigurationError(
                f"max_message_bytes must be an integer ≥ {_MIN_MESSAGE_BYTES}, not {limit!r}"
            )

    @classmethod
    def resolve(cls, **options: Unpack[NodeOptions]) -> Self:
        """Check the options of a node, and take those that are missing or None from the environment.

        Raises:
            ConfigurationError: if an option, or the variable in its place, has a value that cannot work.
        """
        realm, scope = options.get("realm"), options.get("scope")
        mdns, ipc = options.get("mdns"), options.get("ipc")
        return cls(
            realm=check_realm(realm if realm is not None else os.environ.get("COLUGO_REALM") or "default"),
            scope=resolve_scope(scope if scope is not None else _variable("COLUGO_SCOPE")),
            peers=_peers(options.get("peers")),
            mdns=mdns if mdns is not None else _switch("COLUGO_MDNS"),
            ipc=ipc if ipc is not None else _switch("COLUGO_IPC"),
            runtime_dir=Path(os.environ.get("XDG_RUNTIME_DIR", "")),
            port=_port(options.get("port")),
            directory=options.get("directory"),
            max_message_bytes=options.get("max_message_bytes", DEFAULT_MAX_MESSAGE_BYTES),
        )

    def sockets(self) -> Sockets:
        """Make a ZeroMQ context with the limits of this configuration; its owner closes it."""
        return Sockets(self.max_message_bytes)

    def runtime(self, name: str) -> Runtime:
        """Make what the sockets of one node share."""
        peers = f"peers {', '.join(map(str, self.peers))}" if self.peers else ""
        note = (
            peers if self.mdns else f"without mDNS, {peers or 'only nodes that link to this one are found'}"
        )
        return Runtime(
            name,
            realm=self.realm,
            scope=self.scope,
            sockets=self.sockets(),
            ipc=self.ipc,
            runtime_dir=self.runtime_dir,
            port=self.port,
            discovery_note=note if self.directory is None else "",
        )

    def make_directory(self, runtime: Runtime) -> Directory:
        """Make the directory of a node, on the running loop."""
        if self.directory is not None:
            return self.directory
        static = StaticDirectory(runtime, self.peers)
        if not self.mdns:
            return static
        return CombinedDirectory([MdnsDirectory(runtime.scope), static], observer=static.observe)


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _switch(name: str) -> bool:
    text = _variable(name) or "1"
    if text not in {"0", "1"}:
        raise ConfigurationError(f"{name} must be 0 or 1, not {text!r}")
    return text == "1"


def _peers(given: Iterable[str] | None) -> tuple[StaticPeer, ...]:
    if given is not None:
        return tuple(check_peers(given, "peers="))
    texts = (one.strip() for one in _variable("COLUGO_PEERS").split(","))
    return tuple(check_peers(filter(None, texts), "COLUGO_PEERS"))


def _port(given: int | None) -> PortChoice:
    if given is not None:
        return PortChoice(check_port(given, "port="))
    text = _variable("COLUGO_PORT")
    if not text:
        return ANY_PORT
    number = int(text) if text.isascii() and text.isdigit() else text
    return PortChoice(check_port(number, "COLUGO_PORT"), shared=True)
