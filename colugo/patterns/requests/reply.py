"""The reply object, with which a callback answers a request or survey."""

from threading import get_ident
from typing import Any

from colugo.errors import Decline, LifecycleError
from colugo.net.runtime import Runtime
from colugo.patterns.base import check_size
from colugo.patterns.requests.reply_batches import ReplyBatches
from colugo.protocol.codecs import Codec
from colugo.protocol.error_report import encode_error, encode_plain_error
from colugo.protocol.requests.calls import FLAG_DECLINED, FLAG_ERROR, FLAG_TEXT, Call


class ReplySender:
    """The sending side of a reply server or respondent: encodes replies, counts them, and sends them.

    Errors and declines are replies, too. Only surveys can be declined.
    """

    def __init__(self, runtime: Runtime, codec: Codec, batches: ReplyBatches, *, may_decline: bool) -> None:
        self._runtime = runtime
        self._codec = codec
        self._batches = batches
        self._limit = runtime.sockets.max_message_bytes
        self._closed = False
        self.may_decline = may_decline
        self.replies = self.errors = self.declined = 0

    def close(self) -> None:
        """Drop replies from now on."""
        self._closed = True

    def pack(self, message: Any) -> tuple[bytes, bool]:
        """Return the payload of a reply, and whether it is text."""
        payload, text = self._codec.pack(message)
        if len(payload) > self._limit:
            check_size(payload, self._limit)
        return payload if type(payload) is bytes else bytes(payload), text

    def send(
        self, identity: bytes, correlation: int, envelope: list[bytes] | None, body: list[bytes], flags: int
    ) -> None:
        """Send the only reply to a request; from any thread."""
        if get_ident() != self._runtime.owner:
            self._runtime.submit(self.send, identity, correlation, envelope, body, flags)
            return
        if self._closed:
            return
        self.replies += 1
        if flags & FLAG_ERROR:
            self.errors += 1
        elif flags & FLAG_DECLINED:
            self.declined += 1
        if envelope is None:
            self._batches.add(identity, Call(correlation, flags, body[0]))
        else:
            self._batches.send([identity, *envelope, *body], 1)


class Reply:
    """The reply to one request: call `reply(message)` once, at any time and from any thread.

    Args:
        sender: the sending side of the reply server or respondent.
        identity: ZeroMQ's identity of the client's connection.
        correlation: the request's correlation number.
        envelope: the frames that a plain REQ socket expects before the reply; None for a colugo client.
    """

    __slots__ = ("_answered", "_correlation", "_envelope", "_identity", "_sender")

    def __init__(
        self, sender: ReplySender, identity: bytes, correlation: int, envelope: list[bytes] | None
    ) -> None:
        self._sender = sender
        self._identity = identity
        self._correlation = correlation
        self._envelope = envelope
        self._answered = False

    @property
    def answered(self) -> bool:
        """True if the request has been answered."""
        return self._answered

    def __call__(self, message: Any) -> None:
        """Send the reply.

        Args:
            message: str, bytes, or an object that the server's codec encodes.

        Raises:
            LifecycleError: if the request has been answered.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
        """
        payload, text = self._sender.pack(message)
        self._send([payload], FLAG_TEXT if text else 0)

    def error(self, error: BaseException) -> None:
        """Make the request fail: the client raises `RemoteError`.

        Args:
            error: the client gets the name of its class, and its text.

        Raises:
            LifecycleError: if the request has been answered.
        """
        plain = self._envelope is not None
        self._send(encode_plain_error(error) if plain else [encode_error(error)], FLAG_ERROR)

    def decline(self) -> None:
        """Take no part in a survey: the surveyor does not wait for this respondent.

        Raises:
            LifecycleError: if the survey has been answered, or if it is a request, which needs an answer.
        """
        if not self._sender.may_decline:
            raise LifecycleError("a request cannot be declined; use reply.error(…) to refuse it")
        if self._envelope is not None:
            self.error(Decline("declined"))
        else:
            self._send([b""], FLAG_DECLINED)

    def _send(self, body: list[bytes], flags: int) -> None:
        if self._answered:
            raise LifecycleError("this request has been answered already")
        self._answered = True
        self._sender.send(self._identity, self._correlation, self._envelope, body, flags)
