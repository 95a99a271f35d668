"""Asking all that can answer, and gathering what they say: the programming model of ate-dispatcher."""

from colugo.dispatcher.dispatcher import ATEDispatcher
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.producer import Producer
from colugo.dispatcher.stats import DispatcherStats
from colugo.dispatcher.summary import DispatchSummary

__all__ = ["ATEDispatcher", "DispatchSummary", "DispatcherStats", "Producer", "ResultListener"]
