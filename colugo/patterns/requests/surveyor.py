"""The surveyor: asks all respondents of a topic and collects their answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from threading import get_ident
from typing import Any

from colugo.errors import RequestError
from colugo.net.runtime import Runtime
from colugo.patterns.base import check_count, check_size, check_timeout_ms
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.requests.client_base import ClientBase
from colugo.patterns.requests.pending_survey import PendingSurvey, SurveyCallbacks
from colugo.patterns.requests.server_link import ServerLink
from colugo.patterns.requests.survey import Survey, SurveyorStats, SurveyReply
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.description.socket_descriptions import SurveyorDescription
from colugo.protocol.error_report import decode_error
from colugo.protocol.requests.calls import FLAG_DECLINED, FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call
from colugo.protocol.requests.survey_tally import SurveyOutcome, SurveyTally


class Surveyor(ClientBase):
    """A surveyor asks all respondents of a topic; made by `Node.add_surveyor`.

    A survey goes to the respondents that are connected when it begins. It ends as soon as each of them has
    answered or disconnected, when its quorum is reached, or at its timeout. Any number may be in progress.
    """

    _description = SurveyorDescription

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        own: bool = True,
    ) -> None:
        super().__init__(
            runtime,
            SocketKind.RESPONDENT,
            topic,
            on_connect,
            noun="surveyor",
            codec=codec,
            on_disconnect=on_disconnect,
            own=own,
        )
        self._numbers = count(1)
        self._pending: dict[int, PendingSurvey] = {}
        self._surveys = self._silent = self._late = 0
        self._outcomes = dict.fromkeys(SurveyOutcome, 0)
        runtime.when_open(self._open)

    @property
    def respondents(self) -> list[Advertisement]:
        """The respondents that are connected now."""
        return self._peers

    @property
    def stats(self) -> SurveyorStats:
        """Counters so far."""
        outcomes = self._outcomes
        return SurveyorStats(
            surveys=self._surveys,
            replies=outcomes[SurveyOutcome.REPLIED],
            failed=outcomes[SurveyOutcome.FAILED],
            declined=outcomes[SurveyOutcome.DECLINED],
            silent=self._silent,
            left=outcomes[SurveyOutcome.LEFT],
            late=self._late,
            malformed=self._malformed,
            pending=len(self._pending),
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
        put = partial(self._on_callers_loop(), answers.put_nowait)
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

    def _on_callers_loop(self) -> Callable[..., None]:
        """Return a function that calls another one on the loop that runs now, from the node's thread."""
        if get_ident() == self._runtime.owner:
            return _call
        loop = asyncio.get_running_loop()

        def call(function: Callable[..., None], *args: Any) -> None:
            with suppress(RuntimeError):  # that loop is closed: nothing waits there any more
                loop.call_soon_threadsafe(function, *args)

        return call

    def _submit(
        self, message: Any, timeout_ms: float, quorum: int | None, callbacks: SurveyCallbacks
    ) -> PendingSurvey:
        check_timeout_ms(timeout_ms)
        if quorum is not None:
            check_count("quorum", quorum)
        self._check_open()
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        call = Call(next(self._numbers), FLAG_TEXT if text else 0, bytes(payload))
        pending = PendingSurvey(call, timeout_ms, quorum, callbacks)
        if get_ident() == self._runtime.owner:
            self._begin(pending)
        else:
            self._runtime.submit(self._begin, pending)
        return pending

    def _begin(self, pending: PendingSurvey) -> None:
        if self._closed:
            self._fail_closed(pending)
            return
        if not self._opened:  # the timeout counts from the start of the node
            self._runtime.when_open(lambda: self._begin(pending))
            return
        if pending.ended:  # cancelled meanwhile
            return
        self._surveys += 1
        pending.began = time.monotonic()
        links = self._links.connected
        pending.tally = SurveyTally(links, pending.quorum)
        if not links:
            self._end(pending)
            return
        number = pending.call.correlation
        self._pending[number] = pending
        pending.timer = asyncio.get_running_loop().call_later(pending.timeout_ms / 1000, self._end, pending)
        for link in links:
            link.send(pending.call)

    def _end(self, pending: PendingSurvey) -> None:
        """End a survey that is complete, or at its timeout."""
        if pending.ended:
            return
        self._forget(pending)
        survey = pending.result(time.monotonic())
        self._silent += len(survey.silent)
        pending.callbacks.on_end(survey)

    def _forget(self, pending: PendingSurvey) -> None:
        pending.ended = True
        self._pending.pop(pending.call.correlation, None)
        if pending.timer is not None:
            pending.timer.cancel()
        for link in pending.tally.silent:
            link.forget(pending.call.correlation)

    def _cancel(self, pending: PendingSurvey) -> None:
        """End a survey that nothing waits for any more."""
        if not pending.ended and not self._runtime.closed:
            self._runtime.submit(self._forget, pending)

    def _on_replies(self, link: ServerLink, calls: list[Call]) -> None:
        for call in calls:
            pending = self._pending.get(call.correlation)
            if pending is None:
                self._late += 1
            else:
                self._take(pending, link, call)

    def _take(self, pending: PendingSurvey, link: ServerLink, call: Call) -> None:
        answer: SurveyReply | None = None
        if call.flags & FLAG_DECLINED:
            outcome = SurveyOutcome.DECLINED
        elif call.flags & FLAG_REFUSED:  # another respondent has its port now
            outcome = SurveyOutcome.LEFT
        else:
            answer = self._decode(link, call)
            outcome = SurveyOutcome.REPLIED if answer.error is None else SurveyOutcome.FAILED
        if not pending.tally.record(link, outcome):
            self._late += 1
            return
        self._outcomes[outcome] += 1
        if answer is not None:
            pending.values[link] = answer.reply if answer.error is None else answer.error
            if pending.callbacks.on_reply is not None:
                pending.callbacks.on_reply(answer)
        if pending.tally.complete:
            self._end(pending)

    def _decode(self, link: ServerLink, call: Call) -> SurveyReply:
        if call.flags & FLAG_ERROR:
            return SurveyReply(link.peer, None, decode_error(call.payload))
        try:
            return SurveyReply(link.peer, self._codec.unpack(call.payload, text=bool(call.flags & FLAG_TEXT)))
        except ValueError as error:
            return SurveyReply(link.peer, None, self._decode_error(link, error))

    def _lost_one(self, link: ServerLink, reason: str) -> None:
        for pending in list(self._pending.values()):
            if pending.tally.record(link, SurveyOutcome.LEFT):
                self._outcomes[SurveyOutcome.LEFT] += 1
                if pending.tally.complete:
                    self._end(pending)
        super()._lost_one(link, reason)

    def _shut(self) -> None:
        """Disconnect from all respondents; pending surveys fail with `ClosedError` as the cause."""
        super()._shut()
        for pending in list(self._pending.values()):
            self._fail_closed(pending)

    def _fail_closed(self, pending: PendingSurvey) -> None:
        self._forget(pending)
        pending.callbacks.on_error(self._closed_error())


def _call(function: Callable[..., None], *args: Any) -> None:
    function(*args)
