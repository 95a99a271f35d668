"""The surveyor: asks all respondents of a topic and collects their answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from threading import get_ident
from typing import Any

from colugo.errors import RequestError
from colugo.patterns.base import check_count, check_size, check_timeout_ms
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.requests.client_base import ClientBase
from colugo.patterns.requests.survey import Survey, SurveyorStats, SurveyReply
from colugo.patterns.requests.survey_sender import PendingSurvey, SurveyCallbacks, SurveySender
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.description.socket_descriptions import SurveyorDescription
from colugo.protocol.requests.calls import FLAG_TEXT, Call
from colugo.protocol.requests.survey_tally import SurveyOutcome


class Surveyor(ClientBase[SurveySender]):
    """A surveyor asks all respondents of a topic; made by `Node.add_surveyor`.

    A survey goes to the respondents that are connected when it begins. It ends as soon as each of them has
    answered or disconnected, when its quorum is reached, or at its timeout. Any number may be in progress.
    """

    _kind = SocketKind.RESPONDENT
    _noun = "surveyor"
    _description = SurveyorDescription

    @property
    def respondents(self) -> list[Advertisement]:
        """The respondents that are connected now."""
        return [link.peer for link in self._links.connected]

    @property
    def stats(self) -> SurveyorStats:
        """Counters so far."""
        sender = self._sender
        outcomes = sender.outcomes
        return SurveyorStats(
            surveys=sender.surveys,
            replies=outcomes[SurveyOutcome.REPLIED],
            failed=outcomes[SurveyOutcome.FAILED],
            declined=outcomes[SurveyOutcome.DECLINED],
            silent=sender.silent,
            left=outcomes[SurveyOutcome.LEFT],
            late=sender.late,
            malformed=self._links.malformed,
            pending=sender.pending,
            respondents=self._gate.count,
        )

    async def survey(self, message: Any, timeout_ms: float = 1000, quorum: int | None = None) -> Survey:
        """Ask all connected respondents, and return the result. May be awaited on any thread's loop.

        Without a respondent it ends at once. To wait for n respondents first, use `await surveyor.ready(n)`.

        Args:
            message: str, bytes, or an object that the codec encodes.
            timeout_ms: time to wait for answers, in milliseconds.
            quorum: the number of replies that ends the survey; None to wait for all respondents.

        Raises:
            ConfigurationError: if timeout or quorum is invalid.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            RequestError: if the node stops meanwhile.
            ClosedError: if the node has stopped.
        """
        future: asyncio.Future[Survey] = asyncio.get_running_loop().create_future()
        on_end, on_error = self._settlers(future)
        pending = self._submit(message, timeout_ms, quorum, SurveyCallbacks(None, on_end, on_error))
        try:
            return await future
        finally:
            self._cancel(pending)

    async def ask(
        self, message: Any, timeout_ms: float = 1000, quorum: int | None = None
    ) -> AsyncIterator[SurveyReply]:
        """Ask all connected respondents, and yield each answer as it arrives, errors included.

        The survey ends as with `survey`, or when you leave the `async for` loop.

        Args:
            message: str, bytes, or an object that the codec encodes.
            timeout_ms: time to wait for answers, in milliseconds.
            quorum: the number of replies that ends the survey; None to wait for all respondents.

        Raises:
            ConfigurationError: if timeout or quorum is invalid.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            RequestError: if the node stops meanwhile.
            ClosedError: if the node has stopped.
        """
        answers: asyncio.Queue[SurveyReply | Survey | RequestError] = asyncio.Queue()
        put = self._on_callers_loop(answers.put_nowait)
        pending = self._submit(message, timeout_ms, quorum, SurveyCallbacks(put, put, put))
        try:
            while not isinstance(answer := await answers.get(), Survey):
                if isinstance(answer, RequestError):
                    raise answer
                yield answer
        finally:
            self._cancel(pending)

    def send(
        self,
        message: Any,
        callback: Callable[..., Any] | None = None,
        timeout_ms: float = 1000,
        quorum: int | None = None,
        on_reply: Callable[..., Any] | None = None,
    ) -> None:
        """Ask all connected respondents; callbacks get the answers. May be called from any thread.

        After the node has stopped, no callback is called.

        Args:
            message: str, bytes, or an object that the codec encodes.
            callback: `callback(survey)`, called with the result at the end.
            timeout_ms: time to wait for answers, in milliseconds.
            quorum: the number of replies that ends the survey; None to wait for all respondents.
            on_reply: `on_reply(reply)` or `on_reply(reply, peer)`, called with each reply as it arrives.

        Raises:
            ConfigurationError: if timeout or quorum is invalid.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            ClosedError: if the node has stopped.
        """
        at_end = optional_handler(self._runtime, callback, f"survey callback of {self.topic}", most=1)
        each = (
            Handler(self._runtime, on_reply, f"reply callback of {self.topic}", least=1, most=2)
            if on_reply is not None
            else None
        )

        def take(answer: SurveyReply) -> None:
            if each is not None and answer.error is None:
                each.run(answer.reply, answer.peer)

        def end(survey: Survey) -> None:
            if at_end is not None:
                at_end.run(survey)

        self._submit(message, timeout_ms, quorum, SurveyCallbacks(take, end, lambda _: None))

    def _make_sender(self, label: str) -> SurveySender:
        return SurveySender(self._runtime, self.topic, self._codec, label)

    def _submit(
        self, message: Any, timeout_ms: float, quorum: int | None, callbacks: SurveyCallbacks
    ) -> PendingSurvey:
        check_timeout_ms(timeout_ms)
        if quorum is not None:
            check_count("quorum", quorum)
        self._check_open()
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        call = Call(next(self._sender.numbers), FLAG_TEXT if text else 0, bytes(payload))
        pending = PendingSurvey(call, timeout_ms, quorum, callbacks)
        if get_ident() == self._runtime.owner:
            self._sender.begin(pending)
        else:
            self._runtime.submit(self._sender.begin, pending)
        return pending

    def _cancel(self, pending: PendingSurvey) -> None:
        """End a survey that nothing waits for any more."""
        if not pending.ended and not self._runtime.closed:
            self._runtime.submit(self._sender.cancel, pending)
