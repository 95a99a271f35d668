"""Named messages between scripts: who listens now gets them, or they are kept until somebody has them."""

from colugo.errors import ColugoError as MezzengerException
from colugo.messenger.message import Message
from colugo.messenger.messenger import Messenger, MessengerStats
from colugo.messenger.relay import Relay, RelayStats

Mezzenger = Messenger

__all__ = ["Message", "Messenger", "MessengerStats", "Mezzenger", "MezzengerException", "Relay", "RelayStats"]
