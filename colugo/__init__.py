"""colugo: processes on a network find each other and talk, with no broker."""

from colugo.errors import (
    BindError,
    ClosedError,
    CodecError,
    ColugoError,
    ConfigurationError,
    Decline,
    DecodeError,
    DuplicateTopicError,
    EncodeError,
    FlowError,
    LifecycleError,
    MessageTooLargeError,
    NotStoredError,
    PeerLost,
    PeerLostError,
    RelayError,
    RemoteError,
    RequestError,
    RequestTimeout,
    RequestTimeoutError,
    StoreError,
    StreamFullError,
    TopicError,
)
from colugo.messenger import Messenger, MessengerStats, Mezzenger
from colugo.net.interfaces import Scope
from colugo.node import Node
from colugo.patterns.delayed import DelayedCallback
from colugo.patterns.delivery import MessageInfo
from colugo.patterns.publisher import Publisher, PublisherStats
from colugo.patterns.repeater import Repeater
from colugo.patterns.reply import Reply
from colugo.patterns.reply_server import ReplyServer, ReplyServerStats
from colugo.patterns.request_client import RequestClient, RequestClientStats
from colugo.patterns.respondent import Respondent, RespondentStats
from colugo.patterns.streams.consumed import Delivery
from colugo.patterns.streams.consumer import Consumer, ConsumerStats
from colugo.patterns.streams.dead_letters import DeadLetter
from colugo.patterns.streams.kept_messages import KeptMessage
from colugo.patterns.streams.stats import GroupStats, StreamStats
from colugo.patterns.streams.stream import Stream
from colugo.patterns.subscriber import Subscriber, SubscriberStats, SubscriptionStats
from colugo.patterns.survey import Survey, SurveyorStats, SurveyReply
from colugo.patterns.surveyor import Surveyor
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.bindings import exact
from colugo.protocol.codecs import Codec
from colugo.protocol.version import __version__

__all__ = [
    "Advertisement",
    "BindError",
    "ClosedError",
    "Codec",
    "CodecError",
    "ColugoError",
    "ConfigurationError",
    "Consumer",
    "ConsumerStats",
    "DeadLetter",
    "Decline",
    "DecodeError",
    "DelayedCallback",
    "Delivery",
    "DuplicateTopicError",
    "EncodeError",
    "FlowError",
    "GroupStats",
    "KeptMessage",
    "LifecycleError",
    "MessageInfo",
    "MessageTooLargeError",
    "Messenger",
    "MessengerStats",
    "Mezzenger",
    "Node",
    "NotStoredError",
    "PeerLost",
    "PeerLostError",
    "Publisher",
    "PublisherStats",
    "RelayError",
    "RemoteError",
    "Repeater",
    "Reply",
    "ReplyServer",
    "ReplyServerStats",
    "RequestClient",
    "RequestClientStats",
    "RequestError",
    "RequestTimeout",
    "RequestTimeoutError",
    "Respondent",
    "RespondentStats",
    "Scope",
    "StoreError",
    "Stream",
    "StreamFullError",
    "StreamStats",
    "Subscriber",
    "SubscriberStats",
    "SubscriptionStats",
    "Survey",
    "SurveyReply",
    "Surveyor",
    "SurveyorStats",
    "TopicError",
    "__version__",
    "exact",
]
