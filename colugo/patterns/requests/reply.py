"""What a callback answers a request or survey with."""

from typing import Any, Protocol

from colugo.errors import Decline, LifecycleError
from colugo.protocol.error_report import encode_error, encode_plain_error
from colugo.protocol.requests.calls import FLAG_DECLINED, FLAG_ERROR, FLAG_TEXT


class _Answering(Protocol):
    """What a reply needs of its reply server or respondent."""

    _may_decline: bool

    def _pack(self, message: Any) -> tuple[bytes, bool]: ...

    def _answer(
        self, identity: bytes, correlation: int, envelope: list[bytes] | None, body: list[bytes], flags: int
    ) -> None: ...


class Reply:
    """Answers one request: `reply(message)`, once, at any time and from any thread.

    Args:
        server: what it answers for.
        identity: of the client's connection.
        correlation: the request's number.
        envelope: what a plain ZeroMQ REQ expects before the answer; None for a client of ours.
    """

    __slots__ = ("_answered", "_correlation", "_envelope", "_identity", "_server")

    def __init__(
        self, server: _Answering, identity: bytes, correlation: int, envelope: list[bytes] | None
    ) -> None:
        self._server = server
        self._identity = identity
        self._correlation = correlation
        self._envelope = envelope
        self._answered = False

    @property
    def answered(self) -> bool:
        """Whether it has been used."""
        return self._answered

    def __call__(self, message: Any) -> None:
        """Send the reply.

        Args:
            message: str, bytes, or what the server's codec takes.

        Raises:
            LifecycleError: if this request has been answered.
            EncodeError: if the codec cannot take the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
        """
        payload, text = self._server._pack(message)  # noqa: SLF001 - a reply is a part of its server
        self._send([payload], FLAG_TEXT if text else 0)

    def error(self, error: BaseException) -> None:
        """Let the request fail: the client's side raises `RemoteError`.

        Args:
            error: the name of its class and its text travel.

        Raises:
            LifecycleError: if this request has been answered.
        """
        plain = self._envelope is not None
        self._send(encode_plain_error(error) if plain else [encode_error(error)], FLAG_ERROR)

    def decline(self) -> None:
        """Take no part in a survey: the surveyor does not wait for this respondent.

        Raises:
            LifecycleError: if it has been answered, or is a request: whoever asks one server needs an answer.
        """
        if not self._server._may_decline:  # noqa: SLF001 - as above
            raise LifecycleError("a request cannot be declined; reply.error(…) tells that there is no answer")
        if self._envelope is not None:
            self.error(Decline("declined"))
        else:
            self._send([b""], FLAG_DECLINED)

    def _send(self, body: list[bytes], flags: int) -> None:
        if self._answered:
            raise LifecycleError("this request has been answered already")
        self._answered = True
        server = self._server
        server._answer(self._identity, self._correlation, self._envelope, body, flags)  # noqa: SLF001 - as above
