"""Every exception colugo raises on purpose.

```
ColugoError
├── ConfigurationError (ValueError)   a constructor argument or COLUGO_* variable that cannot work
│   ├── TopicError                    a topic or pattern that breaks the rules
│   └── DuplicateTopicError           a second publisher or reply server of one topic in one node
├── BindError (OSError)               a port or address that cannot be bound
├── ClosedError (RuntimeError)        used after stop()
├── LifecycleError (RuntimeError)     started twice, started inside a running loop, replied twice …
├── FlowError (RuntimeError)          send() while a reader of a flow="wait" publisher is too far behind
├── StoreError                        a stream's store that cannot be opened, read or written
├── StreamFullError (RuntimeError)    send() while the stream holds, or writes, as much as it can
├── NotStoredError                    a messenger's ack=1 message that could not be stored anywhere
├── RelayError (ConnectionError)      a messenger's relay that cannot be reached, or takes no message
├── CodecError
│   ├── EncodeError (TypeError)       the message does not fit the codec it is sent with
│   └── DecodeError (ValueError)      received bytes do not fit the codec they are read with
├── MessageTooLargeError (ValueError) over max_message_bytes
├── FrameError (ValueError)           received bytes that are not a frame of the wire format
├── AdvertisementError (ValueError)   an mDNS record of our type that is malformed
├── Decline                           raised by a respondent's callback that takes no part in a survey
└── RequestError                      a request that will not be answered
    ├── RequestTimeoutError (TimeoutError)
    ├── PeerLostError (ConnectionError)   the server it was sent to is gone
    └── RemoteError                       the server's callback raised
```

`PeerLost` and `RequestTimeout` are short names of the last ones, for handlers.
"""


class ColugoError(Exception):
    """The root: `except ColugoError` catches whatever colugo raises on purpose."""


class ConfigurationError(ColugoError, ValueError):
    """An argument or environment variable has a value that cannot work."""


class TopicError(ConfigurationError):
    """A topic or pattern breaks the rules of names."""


class DuplicateTopicError(ConfigurationError):
    """The node has a publisher (or reply server) of that topic already."""


class BindError(ColugoError, OSError):
    """A port or address could not be bound."""


class ClosedError(ColugoError, RuntimeError):
    """The node or socket was used after it had been stopped."""


class LifecycleError(ColugoError, RuntimeError):
    """A call that does not fit the state of the object, such as starting a node twice."""


class FlowError(ColugoError, RuntimeError):
    """A publisher that waits for its readers cannot send now; `send_wait` would wait."""


class StoreError(ColugoError):
    """A stream's store cannot be opened, read or written; the text names the file and what to do."""


class StreamFullError(ColugoError, RuntimeError):
    """The stream takes no more now: it has `max_messages` or `max_bytes`, or too much that is not written."""


class NotStoredError(ColugoError):
    """A message that a messenger was to keep until somebody has it could not be stored anywhere."""


class RelayError(ColugoError, ConnectionError):
    """The relay that a messenger was told to use cannot be reached, or has not taken a message."""


class CodecError(ColugoError):
    """A message and a codec do not fit."""


class EncodeError(CodecError, TypeError):
    """The message cannot be sent with this codec."""


class DecodeError(CodecError, ValueError):
    """The received bytes cannot be read with this codec."""


class MessageTooLargeError(ColugoError, ValueError):
    """The message is larger than the node's `max_message_bytes`."""


class FrameError(ColugoError, ValueError):
    """Received bytes are not a frame of the wire format."""


class AdvertisementError(ColugoError, ValueError):
    """An mDNS record of our service type is malformed or of another version."""


class Decline(ColugoError):  # noqa: N818 - no error: it says something
    """Raised by a respondent's callback: it takes no part in this survey, and is not waited for."""


class RequestError(ColugoError):
    """The request will not be answered."""


class RequestTimeoutError(RequestError, TimeoutError):
    """No reply came in time; the text says whether a server was known at all."""


class PeerLostError(RequestError, ConnectionError):
    """The server that had the request is gone."""


class RemoteError(RequestError):
    """The server's callback raised.

    Attributes:
        type_name: name of the exception's class at the server, such as `"KeyError"`.
        message: its text.
    """

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.message = message


PeerLost = PeerLostError
RequestTimeout = RequestTimeoutError
