"""Asking all that can answer, and gathering what they say: the programming model of ate-dispatcher."""

from colugo.dispatcher.dispatch_summary import DispatchSummary
from colugo.dispatcher.dispatcher import ATEDispatcher
from colugo.dispatcher.dispatcher_stats import DispatcherStats
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.producer import Producer

__all__ = ["ATEDispatcher", "DispatchSummary", "DispatcherStats", "Producer", "ResultListener"]
