"""The programming model of ate-dispatcher: requests to all producers of a topic, results to its listeners."""

from colugo.dispatcher.dispatcher import ATEDispatcher
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.open_requests import DispatcherStats
from colugo.dispatcher.producer import Producer
from colugo.dispatcher.request import DispatchSummary

__all__ = ["ATEDispatcher", "DispatchSummary", "DispatcherStats", "Producer", "ResultListener"]
