"""From sources through formatters to targets."""

from colugo.distributor.base import (
    AbstractDistributionSource,
    AbstractDistributionTarget,
    AbstractDistributorEndpoint,
)
from colugo.distributor.configuration.assembly import Assembly
from colugo.distributor.configuration.configuration_file import Configuration, read_configuration
from colugo.distributor.distributor import Distributor
from colugo.distributor.formatters.formatter import DefaultFormatter, Formatter, IFormatter
from colugo.distributor.formatters.graphite import GraphiteFormatter
from colugo.distributor.formatters.json_lines import JsonLinesFormatter
from colugo.distributor.formatters.template import TemplateFormatter
from colugo.distributor.logging_mixin import LoggingMixin
from colugo.distributor.plugins.plugin_directory import PluginDirectory
from colugo.distributor.routing import Route
from colugo.distributor.sources.file_source import FileSource
from colugo.distributor.sources.generator_source import GeneratorSource
from colugo.distributor.sources.loop_source import LoopSource
from colugo.distributor.sources.stdin_source import StdinSource
from colugo.distributor.sources.stream_source import StreamSource
from colugo.distributor.sources.tcp_source import TcpSource
from colugo.distributor.sources.timer_source import TimerSource
from colugo.distributor.sources.topic_source import TopicSource
from colugo.distributor.sources.udp_source import UdpSource
from colugo.distributor.sources.webhook_source import WebhookSource
from colugo.distributor.sources.websocket_source import WebSocketSource
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.targets.console_target import ConsoleTarget
from colugo.distributor.targets.file_target import FileTarget
from colugo.distributor.targets.graphite_target import GraphiteTarget
from colugo.distributor.targets.http_target import HttpTarget
from colugo.distributor.targets.socket_target import SocketTarget
from colugo.distributor.targets.stream_target import StreamTarget
from colugo.distributor.targets.tcp_target import TcpTarget
from colugo.distributor.targets.topic_target import TopicTarget
from colugo.distributor.targets.udp_target import UdpTarget
from colugo.distributor.targets.websocket_target import WebSocketTarget
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.errors import (
    ConnectionNotDefined,
    ConnectorNotInitialized,
    DistributorException,
    InvalidDistributionTarget,
    InvalidUrlException,
)

__all__ = [
    "AbstractDistributionSource",
    "AbstractDistributionTarget",
    "AbstractDistributorEndpoint",
    "Assembly",
    "Configuration",
    "ConnectionNotDefined",
    "ConnectorNotInitialized",
    "ConsoleTarget",
    "DefaultFormatter",
    "Distributor",
    "DistributorException",
    "FileSource",
    "FileTarget",
    "Formatter",
    "GeneratorSource",
    "GraphiteFormatter",
    "GraphiteTarget",
    "HttpTarget",
    "IFormatter",
    "InvalidDistributionTarget",
    "InvalidUrlException",
    "JsonLinesFormatter",
    "LoggingMixin",
    "LoopSource",
    "PluginDirectory",
    "Route",
    "SocketTarget",
    "StdinSource",
    "StreamSource",
    "StreamTarget",
    "TargetOptions",
    "TargetStats",
    "TcpSource",
    "TcpTarget",
    "TemplateFormatter",
    "ThreadedDistributionTarget",
    "TimerSource",
    "TopicSource",
    "TopicTarget",
    "UdpSource",
    "UdpTarget",
    "WebSocketSource",
    "WebSocketTarget",
    "WebhookSource",
    "read_configuration",
]
