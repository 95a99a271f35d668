"""The types of sources, targets and formatters that a configuration may name."""

import logging
from collections.abc import Callable, Mapping
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
_GROUPS: Mapping[Kind, str] = {"source": "colugo.sources", "target": "colugo.targets"}


class Catalog:
    """The known types: those of a plugin directory, then the built-in ones, then those of installed packages.

    A package offers one as an entry point of the group `colugo.sources` or `colugo.targets`: a class, or a
    function that makes a source or target.

    Args:
        plugins: a plugin directory that is loaded.
    """

    def __init__(self, plugins: PluginDirectory | None = None) -> None:
        self._plugins = plugins

    def find(self, kind: Kind, name: str, place: KeyPath) -> Factory:
        """Return the factory of a type.

        Args:
            kind: what it makes.
            name: the name of the type.
            place: where the name stands, for errors.

        Raises:
            ConfigurationError: if the type is unknown, or its entry point cannot be loaded.
        """
        plugin = self._plugins.factories.get((kind, name)) if self._plugins is not None else None
        if plugin is not None:
            return plugin
        if name in _BUILT_IN[kind]:
            return Factory(kind=kind, name=name, make=_BUILT_IN[kind][name], origin="built in")
        found = _entry_points(kind)
        if name not in found:
            known = {*_BUILT_IN[kind], *found, *(one.name for one in self._plugins_of(kind))}
            raise place.error(f"unknown type of {kind} {name!r}; {did_you_mean(name, known)}")
        try:
            return _load(kind, found[name])
        except Exception as error:
            _LOGGER.exception("the entry point %s cannot be loaded", found[name].value)
            raise place.error(
                f"the {kind} type {name!r} of {_package(found[name])} cannot be loaded: {error}"
            ) from error

    def all(self, kind: Kind) -> list[Factory]:
        """Return all types of a kind by name; an entry point that cannot be loaded is logged and left out."""
        factories = {
            name: Factory(kind=kind, name=name, make=make, origin="built in")
            for name, make in _BUILT_IN[kind].items()
        }
        for name, point in _entry_points(kind).items():
            try:
                factories.setdefault(name, _load(kind, point))
            except Exception:
                _LOGGER.exception("the entry point %s of %s cannot be loaded", point.value, _package(point))
        factories.update({one.name: one for one in self._plugins_of(kind)})
        return [factories[name] for name in sorted(factories)]

    def _plugins_of(self, kind: Kind) -> list[Factory]:
        factories = self._plugins.factories if self._plugins is not None else {}
        return [one for (its_kind, _), one in factories.items() if its_kind == kind]


def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    if kind not in _GROUPS:
        return {}
    return {point.name: point for point in entry_points(group=_GROUPS[kind])}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"


def _load(kind: Kind, point: EntryPoint) -> Factory:
    make = point.load()
    if not callable(make):
        raise ConfigurationError(f"{point.value} is neither a class nor a function: {make!r}")
    return Factory(kind=kind, name=point.name, make=make, origin=_package(point))
