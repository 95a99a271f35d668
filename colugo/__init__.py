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
from colugo.net.addresses.interfaces import Scope
from colugo.node import Node
from colugo.patterns.pubsub.callback_queue import MessageInfo
from colugo.patterns.pubsub.publisher import Publisher, PublisherStats
from colugo.patterns.pubsub.subscriber import Subscriber, SubscriberStats, SubscriptionStats
from colugo.patterns.requests.reply import Reply
from colugo.patterns.requests.reply_server import ReplyServer, ReplyServerStats
from colugo.patterns.requests.request_client import RequestClient, RequestClientStats
from colugo.patterns.requests.respondent import Respondent, RespondentStats
from colugo.patterns.requests.survey import Survey, SurveyorStats, SurveyReply
from colugo.patterns.requests.surveyor import Surveyor
from colugo.patterns.streams.browse import KeptMessage
from colugo.patterns.streams.consuming.consumer import Consumer, ConsumerStats
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.patterns.streams.dead_letters import DeadLetter
from colugo.patterns.streams.stream import Stream
from colugo.patterns.streams.stream_stats import GroupStats, StreamStats
from colugo.patterns.timers.delayed import DelayedCallback
from colugo.patterns.timers.repeater import Repeater
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.bindings import exact
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
