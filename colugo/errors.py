"""Every exception colugo raises on purpose.

```
ColugoError
├── ConfigurationError (ValueError)   an argument or COLUGO_* variable cannot work
│   ├── TopicError                    a topic or pattern breaks the rules
│   └── DuplicateTopicError           a node has a publisher, reply server or stream of the topic already
├── BindError (OSError)               a port or address cannot be bound
├── ClosedError (RuntimeError)        an object is used after stop() or close()
├── LifecycleError (RuntimeError)     started twice, started inside a running loop, replied twice …
├── FlowError (RuntimeError)          send() would have to wait for a subscriber of a flow="wait" publisher
├── StoreError                        a stream's store cannot be opened, read or written
├── StreamFullError (RuntimeError)    send() while the stream is at a limit
├── NotStoredError                    a messenger's ack=1 message could not be stored anywhere
├── RelayError (ConnectionError)      a messenger's relay cannot be reached, or takes no message
├── CodecError
│   ├── EncodeError (TypeError)       a message cannot be encoded with its codec
│   └── DecodeError (ValueError)      received bytes cannot be decoded with the codec
├── MessageTooLargeError (ValueError) a message is over max_message_bytes
├── FrameError (ValueError)           received bytes are not a frame of the wire format
├── DistributorException              a source or target of a distributor cannot do its work
│   ├── InvalidDistributionTarget (TypeError)   an object is no target, or a plugin makes none
│   ├── InvalidUrlException (ValueError)  a source or target cannot use a URL or address
│   ├── ConnectionNotDefined          a source or target lacks its address
│   └── ConnectorNotInitialized       a source or target lacks what it works with, such as a node
├── AdvertisementError (ValueError)   an mDNS record of colugo's type is malformed
├── Decline                           raised by a respondent's callback to take no part in a survey
└── RequestError                      a request will not be answered
    ├── RequestTimeoutError (TimeoutError)
    ├── PeerLostError (ConnectionError)   its server has disconnected
    └── RemoteError                       the server's callback raised
```

`PeerLost` and `RequestTimeout` are short names of the last ones, for handlers.
"""


class ColugoError(Exception):
    """The root: `except ColugoError` catches everything that colugo raises on purpose."""


class ConfigurationError(ColugoError, ValueError):
    """An argument or environment variable has a value that cannot work."""


class TopicError(ConfigurationError):
    """A topic or pattern breaks the rules."""


class DuplicateTopicError(ConfigurationError):
    """The node has a publisher, reply server or stream of that topic already."""


class BindError(ColugoError, OSError):
    """A port or address could not be bound."""


class ClosedError(ColugoError, RuntimeError):
    """The node or socket is used after it has been stopped or closed."""


class LifecycleError(ColugoError, RuntimeError):
    """A call does not fit the state of the object, such as a second start of a node."""


class FlowError(ColugoError, RuntimeError):
    """A publisher with `flow="wait"` cannot send now; `send_wait` would wait."""


class StoreError(ColugoError):
    """A stream's store cannot be opened, read or written; the text names the file and what to do."""


class StreamFullError(ColugoError, RuntimeError):
    """The stream has `max_messages` or `max_bytes`, or too many messages that are not written yet."""


class NotStoredError(ColugoError):
    """A message that a messenger has to keep could not be stored anywhere."""


class RelayError(ColugoError, ConnectionError):
    """The relay of a messenger's `server_address` cannot be reached, or has not taken a message."""


class CodecError(ColugoError):
    """A message does not fit a codec."""


class EncodeError(CodecError, TypeError):
    """The message cannot be encoded with this codec."""


class DecodeError(CodecError, ValueError):
    """The received bytes cannot be decoded with this codec."""


class MessageTooLargeError(ColugoError, ValueError):
    """The message is larger than the node's `max_message_bytes`."""


class FrameError(ColugoError, ValueError):
    """Received bytes are not a frame of the wire format."""


class DistributorException(ColugoError):  # noqa: N818 - the original's name
    """A source or target of a distributor cannot do its work."""


class InvalidDistributionTarget(DistributorException, TypeError):  # noqa: N818 - the same
    """An object is no target, or a plugin makes none."""


class InvalidUrlException(DistributorException, ValueError):  # noqa: N818 - the same
    """A source or target cannot use a URL or address."""


class ConnectionNotDefined(DistributorException):
    """A source or target lacks its address."""


class ConnectorNotInitialized(DistributorException):
    """A source or target lacks what it works with, such as a node."""


class AdvertisementError(ColugoError, ValueError):
    """An mDNS record of colugo's service type is malformed or of another version."""


class Decline(ColugoError):  # noqa: N818 - an answer, not an error
    """An exception for a respondent's callback that takes no part in a survey."""


class RequestError(ColugoError):
    """The request will not be answered."""


class RequestTimeoutError(RequestError, TimeoutError):
    """No reply came in time; the text tells if no server was known."""


class PeerLostError(RequestError, ConnectionError):
    """The server that had the request has disconnected."""


class RemoteError(RequestError):
    """The server's callback raised.

    Attributes:
        type_name: the name of the exception's class at the server, such as `"KeyError"`.
        message: the exception's text.
    """

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.message = message


PeerLost = PeerLostError
RequestTimeout = RequestTimeoutError
