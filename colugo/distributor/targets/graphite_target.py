"""The target of Graphite."""

from typing import ClassVar

from colugo.distributor.targets.tcp_target import TcpTarget


class GraphiteTarget(TcpTarget):
    """Sends messages to carbon's plaintext port, each followed by a line break.

    Set a `GraphiteFormatter` as its formatter, unless messages are lines of the plaintext protocol already. A
    target of a configuration file or of the command line has one by default.

    Args:
        host: a name or an address of carbon.
        port: its plaintext port.
        poolsize: threads that send. With more than one, messages may leave in another order.
    """

    configured_defaults: ClassVar[dict[str, object]] = {}
    configured_formatter: ClassVar[str] = "graphite"
    """The formatter of a target that is made by a configuration file or the command line."""

    terminator = "\n"

    def __init__(self, host: str, port: int = 2003, *, poolsize: int = 1) -> None:
        super().__init__(host, port, poolsize=poolsize)
