"""The programming model of ate-dispatcher: requests to all producers of a topic, results to its listeners."""

from colugo.dispatcher.dispatcher import ATEDispatcher
from colugo.dispatcher.dispatcher_stats import DispatcherStats, DispatchSummary
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.producer import Producer

__all__ = ["ATEDispatcher", "DispatchSummary", "DispatcherStats", "Producer", "ResultListener"]
