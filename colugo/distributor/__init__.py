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
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.distributor.targets.graphite_target import GraphiteTarget
from colugo.distributor.targets.socket_target import SocketTarget
from colugo.distributor.targets.tcp_target import TcpTarget
from colugo.distributor.targets.udp_target import UdpTarget
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
    "DefaultFormatter",
    "Distributor",
    "DistributorException",
    "Formatter",
    "GraphiteFormatter",
    "GraphiteTarget",
    "IFormatter",
    "InvalidDistributionTarget",
    "InvalidUrlException",
    "JsonLinesFormatter",
    "LoggingMixin",
    "PluginDirectory",
    "Route",
    "SocketTarget",
    "TargetOptions",
    "TargetStats",
    "TcpTarget",
    "TemplateFormatter",
    "ThreadedDistributionTarget",
    "UdpTarget",
    "read_configuration",
]
