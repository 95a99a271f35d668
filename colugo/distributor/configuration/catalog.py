"""The types of sources, targets and formatters that a configuration may name."""

import logging
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from colugo.distributor.configuration.values import KeyPath, did_you_mean
from colugo.distributor.formatters.formatter import DefaultFormatter
from colugo.distributor.formatters.graphite import GraphiteFormatter
from colugo.distributor.formatters.json_lines import JsonLinesFormatter
from colugo.distributor.formatters.template import TemplateFormatter
from colugo.distributor.plugins.factory import Factory, Kind
from colugo.distributor.plugins.plugin_directory import PluginDirectory
from colugo.distributor.sources.file_source import FileSource
from colugo.distributor.sources.stdin_source import StdinSource
from colugo.distributor.sources.stream_source import StreamSource
from colugo.distributor.sources.tcp_source import TcpSource
from colugo.distributor.sources.timer_source import TimerSource
from colugo.distributor.sources.topic_source import TopicSource
from colugo.distributor.sources.udp_source import UdpSource
from colugo.distributor.sources.webhook_source import WebhookSource
from colugo.distributor.sources.websocket_source import WebSocketSource
from colugo.distributor.targets.console_target import ConsoleTarget
from colugo.distributor.targets.file_target import FileTarget
from colugo.distributor.targets.graphite_target import GraphiteTarget
from colugo.distributor.targets.http_target import HttpTarget
from colugo.distributor.targets.stream_target import StreamTarget
from colugo.distributor.targets.tcp_target import TcpTarget
from colugo.distributor.targets.topic_target import TopicTarget
from colugo.distributor.targets.udp_target import UdpTarget
from colugo.distributor.targets.websocket_target import WebSocketTarget
from colugo.errors import ConfigurationError

_LOGGER = logging.getLogger(__name__)
_BUILT_IN: Mapping[Kind, Mapping[str, Callable[..., Any]]] = {
    "source": {
        "file": FileSource,
        "stdin": StdinSource,
        "stream": StreamSource,
        "tcp": TcpSource,
        "timer": TimerSource,
        "topic": TopicSource,
        "udp": UdpSource,
        "webhook": WebhookSource,
        "websocket": WebSocketSource,
    },
    "target": {
        "console": ConsoleTarget,
        "file": FileTarget,
        "graphite": GraphiteTarget,
        "http": HttpTarget,
        "stream": StreamTarget,
        "tcp": TcpTarget,
        "topic": TopicTarget,
        "udp": UdpTarget,
        "websocket": WebSocketTarget,
    },
    "formatter": {
        "default": DefaultFormatter,
        "graphite": GraphiteFormatter,
        "json": JsonLinesFormatter,
        "template": TemplateFormatter,
    },
}


class Catalog:
    """The known types: those of a plugin directory, then the built-in ones, then those of installed packages.

    A package offers one as an entry point of the group `colugo.sources` or `colugo.targets`: a class, or a
    function that makes a source or target.
    """

    def __init__(self, plugins: PluginDirectory | None = None) -> None:
        self._plugins = plugins
        self._points = entry_points()

    def find(self, kind: Kind, name: str, place: KeyPath) -> Factory:
        """Return the factory of a type, whose name stands at a place.

        Raises:
            ConfigurationError: if the type is unknown, or its entry point cannot be loaded.
        """
        known = self._known(kind)
        if name not in known:
            raise place.error(f"unknown type of {kind} {name!r}; {did_you_mean(name, known)}")
        try:
            return _load(kind, known[name])
        except Exception as error:
            text = f"the {kind} type {name!r} of {_origin(known[name])} cannot be loaded"
            _LOGGER.exception("%s", text)
            raise place.error(f"{text}: {error}") from error

    def all(self, kind: Kind) -> list[Factory]:
        """Return all types of a kind by name; an entry point that cannot be loaded is logged and left out."""
        factories: list[Factory] = []
        for _, one in sorted(self._known(kind).items()):
            try:
                factories.append(_load(kind, one))
            except Exception:
                _LOGGER.exception("the %s type %s of %s cannot be loaded", kind, one.name, _origin(one))
        return factories

    def names(self, kind: Kind) -> Collection[str]:
        """Return the names of all types of a kind."""
        return self._known(kind)

    def _known(self, kind: Kind) -> dict[str, Factory | EntryPoint]:
        """Return the types by name. Of two with one name, the later source wins."""
        built_in = _BUILT_IN[kind].items()
        plugins = self._plugins.factories if self._plugins is not None else {}
        return (
            {point.name: point for point in self._points.select(group=f"colugo.{kind}s")}
            | {name: Factory(kind=kind, name=name, make=make, origin="built in") for name, make in built_in}
            | {name: factory for (its_kind, name), factory in plugins.items() if its_kind == kind}
        )


def _origin(one: Factory | EntryPoint) -> str:
    if isinstance(one, Factory):
        return one.origin
    return one.dist.name if one.dist is not None else "an unknown package"


def _load(kind: Kind, one: Factory | EntryPoint) -> Factory:
    if isinstance(one, Factory):
        return one
    make = one.load()
    if not callable(make):
        raise ConfigurationError(f"{one.value} is neither a class nor a function: {make!r}")
    return Factory(kind=kind, name=one.name, make=make, origin=_origin(one))
