"""Named messages between scripts: who listens now gets them, or they are kept until somebody has them."""

from colugo.errors import ColugoError as MezzengerException
from colugo.messenger.messenger import Messenger
from colugo.messenger.messenger_stats import MessengerStats
from colugo.messenger.named_message import Message
from colugo.messenger.relay import Relay, RelayStats

Mezzenger = Messenger

__all__ = ["Message", "Messenger", "MessengerStats", "Mezzenger", "MezzengerException", "Relay", "RelayStats"]
