"""Named messages between scripts; with `ack=1`, they are kept until a subscriber has handled them."""

from colugo.errors import ColugoError as MezzengerException
from colugo.messenger.messenger import Messenger
from colugo.messenger.messenger_stats import MessengerStats, RelayStats
from colugo.messenger.named_message import Message
from colugo.messenger.relay import Relay

Mezzenger = Messenger

__all__ = ["Message", "Messenger", "MessengerStats", "Mezzenger", "MezzengerException", "Relay", "RelayStats"]
