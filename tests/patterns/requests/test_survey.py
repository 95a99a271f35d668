"""Surveys: all respondents are asked, and the result has the outcome of each."""

import asyncio
import threading
from typing import Any

import pytest

from colugo import (
    ClosedError,
    ConfigurationError,
    Decline,
    EncodeError,
    LifecycleError,
    Node,
    RemoteError,
    Reply,
    RequestError,
    Survey,
    TopicError,
)
from colugo.protocol.advertisement import Advertisement
from tests.support.essentials import Collector, run, seconds, until


def names(peers: Any) -> list[str]:
    return sorted(peer.node for peer in peers)


def total(survey: Survey) -> int:
    return sum(map(len, (survey.replies, survey.failed, survey.declined, survey.silent, survey.left)))


@pytest.mark.usefixtures("transport")
def test_each_respondent_is_in_the_account_with_what_became_of_it() -> None:
    def refuse(message: str) -> str:
        raise ValueError(f"not {message}")

    def decline(message: str) -> str:
        raise Decline

    async def main() -> None:
        async with Node("asker") as asker, Node("a") as a, Node("b") as b, Node("c") as c, Node("d") as d:
            a.add_respondent("t", lambda message: message.upper(), codec="json")
            b.add_respondent("t", lambda message: None, codec="json")
            c.add_respondent("t", refuse, codec="json")
            d.add_respondent("t", decline, codec="json")
            surveyor = asker.add_surveyor("t", codec="json")
            await surveyor.ready(4)
            survey = await surveyor.survey("hello", timeout_ms=5000)
            assert {peer.node: reply for peer, reply in survey.replies.items()} == {"a": "HELLO", "b": None}
            ((failed, error),) = survey.failed.items()
            assert failed.node == "c"
            assert isinstance(error, RemoteError)
            assert "not hello" in str(error)
            assert names(survey.declined) == ["d"]
            assert (survey.silent, survey.left, survey.asked) == ((), (), 4)
            assert survey.elapsed_ms < seconds(4) * 1000
            assert c.callback_errors == 1
            assert d.callback_errors == 0

    run(main())


def test_what_does_not_answer_is_silent_at_the_timeout_and_late_afterwards() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("slow") as slow, Node("fast") as fast:
            kept: list[Reply] = []
            slow.add_respondent("t", lambda message, reply: kept.append(reply))
            fast.add_respondent("t", lambda message: message)
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(2)
            survey = await surveyor.survey("x", timeout_ms=300)
            assert (names(survey.replies), names(survey.silent)) == (["fast"], ["slow"])
            assert 299 <= survey.elapsed_ms <= 300 + 30 * seconds(10)
            kept[0]("too late")
            await until(lambda: surveyor.stats.late == 1)
            assert surveyor.stats.silent == 1

    run(main())


def test_it_ends_when_the_last_one_answers_and_not_at_the_timeout() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("a") as a, Node("b") as b:
            for node in (a, b):
                node.add_respondent("t", lambda message: message)
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(2)
            survey = await surveyor.survey("x", timeout_ms=60_000)
            assert names(survey.replies) == ["a", "b"]
            assert surveyor.stats.pending == 0

    run(main())


def test_a_quorum_ends_it_and_the_others_are_silent() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("many") as many:
            kept: list[Reply] = []
            for number in range(5):
                if number < 3:
                    many.add_respondent("t", lambda message: message)
                else:
                    many.add_respondent("t", lambda message, reply: kept.append(reply))
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(5)
            survey = await surveyor.survey("x", timeout_ms=60_000, quorum=2)
            assert len(survey.replies) == 2
            assert len(survey.silent) == 3
            assert survey.asked == 5
            survey = await surveyor.survey("x", timeout_ms=200, quorum=4)
            assert len(survey.replies) == 3

    run(main())


@pytest.mark.usefixtures("transport")
def test_one_that_leaves_is_not_waited_for() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("stays") as stays:
            stays.add_respondent("t", lambda message: message)
            gone = Collector()
            surveyor = asker.add_surveyor("t", on_disconnect=lambda peer, reason: gone(reason))
            async with Node("leaves") as leaves:
                asked = asyncio.Event()
                leaves.add_respondent("t", lambda message, reply: asked.set())
                await surveyor.ready(2)
                waiting = asyncio.create_task(surveyor.survey("x", timeout_ms=60_000))
                await asked.wait()
            survey = await waiting
            assert (names(survey.replies), names(survey.left)) == (["stays"], ["leaves"])
            assert gone.items == ["withdrawn"]
            assert surveyor.stats.left == 1

    run(main())


def test_without_respondents_it_ends_at_once() -> None:
    async def main() -> None:
        async with Node("asker") as asker:
            survey = await asker.add_surveyor("t").survey("x", timeout_ms=60_000)
            assert (survey.asked, survey.replies) == (0, {})

    run(main())


def test_answers_are_iterated_in_the_order_of_their_arrival() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("many") as many:
            kept: dict[int, Reply] = {}
            for number in range(4):
                many.add_respondent("t", lambda message, reply, number=number: kept.update({number: reply}))
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(4)
            order = [2, 0, 3, 1]
            got: list[Any] = []
            asking = surveyor.ask("x", timeout_ms=10_000)
            first = asyncio.ensure_future(anext(asking))
            await until(lambda: len(kept) == 4)
            for number in order:
                if number == 3:
                    kept[number].error(ValueError("three"))
                else:
                    kept[number](str(number))
                answer = await first
                got.append(answer.reply if answer.error is None else str(answer.error))
                first = asyncio.ensure_future(anext(asking))
            with pytest.raises(StopAsyncIteration):
                await first
            assert got[:2] + got[3:] == ["2", "0", "1"]
            assert "three" in got[2]

    run(main())


def test_who_leaves_the_iteration_ends_the_survey() -> None:
    async def leave_early() -> None:
        async with Node("asker") as asker, Node("many") as many:
            for _ in range(3):
                many.add_respondent("t", lambda message: message)
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(3)
            asking = surveyor.ask("x", timeout_ms=60_000)
            await anext(asking)
            await asking.aclose()  # type: ignore[attr-defined]
            await until(lambda: surveyor.stats.pending == 0)
            await until(lambda: surveyor.stats.late + surveyor.stats.replies >= 3)

    run(leave_early())


def test_the_callback_form_gets_each_reply_and_the_account() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("a") as a, Node("b") as b:
            a.add_respondent("t", lambda message: message + "a")
            b.add_respondent("t", lambda message: message + "b")
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(2)
            each, ends = Collector(), Collector()
            surveyor.send("x", ends, on_reply=lambda reply, peer: each((reply, peer.node)))
            (survey,) = await ends.reach(1)
            assert sorted(each.items) == [("xa", "a"), ("xb", "b")]
            assert total(survey) == survey.asked == 2
            surveyor.send("y")
            await until(lambda: surveyor.stats.replies == 4)

    run(main())


def test_any_number_of_surveys_is_under_way_and_each_gets_its_own_answers() -> None:
    async def main() -> None:
        async with Node("asker") as asker, Node("many") as many:
            for number in range(10):
                many.add_respondent("t", lambda message, number=number: f"{message} {number}")
            surveyor = asker.add_surveyor("t")
            await surveyor.ready(10)
            surveys = await asyncio.gather(*(surveyor.survey(str(n), timeout_ms=20_000) for n in range(300)))
            for n, survey in enumerate(surveys):
                assert sorted(survey.replies.values()) == [f"{n} {number}" for number in range(10)]

    run(main())


def test_surveys_come_from_other_threads_and_loops() -> None:
    with Node("asker").running() as asker, Node("a").running() as a:
        a.add_respondent("t", lambda message: message)
        surveyor = asker.add_surveyor("t")
        asker.run(surveyor.ready(), 5000)
        assert list(asker.run(surveyor.survey("x"), 5000).replies.values()) == ["x"]

        async def elsewhere() -> list[str]:
            survey = await surveyor.survey("y")
            return [*survey.replies.values(), *[answer.reply async for answer in surveyor.ask("z")]]

        assert run(elsewhere()) == ["y", "z"]
        done = threading.Event()
        surveyor.send("w", lambda survey: done.set())
        assert done.wait(seconds(5))


def test_coroutines_answer_too_and_their_own_node_is_asked_unless_it_is_left_out() -> None:
    async def main() -> None:
        async with Node("both") as both, Node("other") as other:

            async def answer(message: str) -> str:
                await asyncio.sleep(0)
                return message

            both.add_respondent("t", answer)
            other.add_respondent("t", answer)
            everyone, others = both.add_surveyor("t"), both.add_surveyor("t", own=False)
            await everyone.ready(2)
            await others.ready(1)
            assert names((await everyone.survey("x")).replies) == ["both", "other"]
            assert names((await others.survey("x")).replies) == ["other"]
            assert names(others.respondents) == ["other"]

    run(main())


def test_who_is_cancelled_does_not_wait_and_a_stopped_node_says_so() -> None:
    async def main() -> None:
        async with Node("a") as a:
            async with Node("asker") as asker:
                a.add_respondent("t", lambda message, reply: None)
                surveyor = asker.add_surveyor("t")
                await surveyor.ready()
                task = asyncio.create_task(surveyor.survey("x", timeout_ms=60_000))
                await until(lambda: surveyor.stats.pending == 1)
                task.cancel()
                await until(lambda: surveyor.stats.pending == 0)
                last = asyncio.create_task(surveyor.survey("x", timeout_ms=60_000))
                await until(lambda: surveyor.stats.pending == 1)
            with pytest.raises(RequestError, match="was closed"):
                await last
            with pytest.raises(ClosedError):
                await surveyor.survey("x")

    run(main())


@pytest.mark.parametrize("timeout_ms", [0, -1, "1", None, True, float("nan"), 10**400])
def test_a_timeout_that_is_none_is_refused(timeout_ms: Any) -> None:
    async def main() -> None:
        async with Node("asker") as asker:
            with pytest.raises(ConfigurationError, match="milliseconds > 0"):
                await asker.add_surveyor("t").survey("x", timeout_ms=timeout_ms)

    run(main())


@pytest.mark.parametrize("quorum", [0, -1, 1.5, "1", True])
def test_a_quorum_that_is_none_is_refused(quorum: Any) -> None:
    async def main() -> None:
        async with Node("asker") as asker:
            with pytest.raises(ConfigurationError, match="quorum"):
                await asker.add_surveyor("t").survey("x", quorum=quorum)

    run(main())


def test_what_the_codec_cannot_carry_is_an_error_at_the_caller() -> None:
    async def main() -> None:
        async with Node("asker") as asker:
            with pytest.raises(EncodeError, match="codec"):
                await asker.add_surveyor("t").survey({"not": "plain"})
            with pytest.raises(TopicError):
                asker.add_surveyor("no spaces")
            with pytest.raises(TopicError):
                asker.add_respondent("t.*", print)

    run(main())


def test_a_reply_server_cannot_decline() -> None:
    async def main() -> None:
        async with Node("a") as a:
            errors = Collector()

            def serve(message: str, reply: Reply) -> None:
                try:
                    reply.decline()
                except LifecycleError as error:
                    errors(str(error))
                raise Decline

            a.add_reply_server("t", serve)
            client = a.add_request_client("t")
            with pytest.raises(RemoteError, match="Decline"):
                await client.request("x")
            assert "cannot be declined" in errors.items[0]

    run(main())


def test_an_advertisement_of_a_respondent_says_so() -> None:
    async def main() -> None:
        async with Node("a") as a:
            a.add_respondent("t", print)
            asker = a.add_surveyor("t")
            await asker.ready()
            (peer,) = asker.respondents
            assert isinstance(peer, Advertisement)
            assert str(peer).startswith("respondent t of a at tcp://")

    run(main())
