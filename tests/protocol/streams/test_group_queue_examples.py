"""The promises to a consumer group, by example."""

from collections import Counter
from collections.abc import Iterable

import pytest

from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage, QueuedMessage
from colugo.protocol.streams.group_queue import GroupQueue
from colugo.protocol.streams.ranges import MAX_NUMBER, to_ranges
from colugo.protocol.streams.stream_message import StreamMessage


def messages(seqs: Iterable[int], key: str = "") -> list[StreamMessage]:
    return [StreamMessage(seq, key, b"", b"payload", 0, 0) for seq in seqs]


def queue_of(
    *members: bytes,
    prefetch: int = 100,
    max_deliver: int = 2,
    ack_timeout_s: float = 30.0,
    ordered: bool = True,
) -> GroupQueue:
    queue = GroupQueue(DeliveryRules(max_deliver, ack_timeout_s, ordered=ordered))
    for name in members:
        queue.join(name, prefetch)
    return queue


def assign(queue: GroupQueue, now: float = 0.0) -> dict[bytes, list[QueuedMessage]]:
    return {member.identity: entries for member, entries in queue.assign(now)}


def numbers(entries: Iterable[QueuedMessage]) -> list[int]:
    return [entry.message.seq for entry in entries]


def assigned(queue: GroupQueue, now: float = 0.0) -> dict[bytes, list[int]]:
    return {name: numbers(entries) for name, entries in assign(queue, now).items()}


def acknowledge(queue: GroupQueue, *seqs: int) -> list[int]:
    return queue.acknowledge(to_ranges(seqs))[0]


def fail(
    queue: GroupQueue, name: bytes, seq: int, now: float = 0.0, delay_s: float | None = 0.0
) -> ExhaustedMessage | None:
    known, dead = queue.nack(name, seq, now, delay_s=delay_s, reason="ValueError: x", traceback="Traceback")
    assert known
    return dead


# --- failures


@pytest.mark.parametrize("max_deliver", [1, 2, 3])
def test_a_message_that_kills_its_consumers_is_dead_after_its_tries_and_takes_none_of_the_others_with_it(
    max_deliver: int,
) -> None:
    queue = queue_of(max_deliver=max_deliver)
    queue.offer(messages(range(1, 101)))
    poison, done, dead, killed = 37, set[int](), list[ExhaustedMessage](), 0
    for life in range(200):
        name = b"life %d" % life
        queue.join(name, 100)
        while given := assigned(queue).get(name):
            if poison in given:
                dead += queue.leave(name, "it was killed")
                killed += 1
                break
            done.update(acknowledge(queue, *given))
        if not queue.messages:
            break
    assert [(one.queued.message.seq, one.reason) for one in dead] == [(poison, "it was killed")]
    assert done == set(range(1, 101)) - {poison}
    assert killed == max(2, max_deliver)


def test_when_a_consumer_is_lost_what_it_had_is_redelivered_one_by_one_while_others_go_on() -> None:
    queue = queue_of(b"a", prefetch=3)
    queue.offer(messages(range(1, 4)))
    assert assigned(queue) == {b"a": [1, 2, 3]}
    assert queue.leave(b"a", "lost") == []
    queue.offer(messages([4, 5, 6, 7]))
    queue.join(b"b", 3)
    queue.join(b"c", 3)
    given = assign(queue)
    careful, other = sorted(given, key=lambda name: len(given[name]))
    assert [(one.message.seq, one.redelivered, one.attempt) for one in given[careful]] == [(1, True, 2)]
    assert numbers(given[other]) == [4, 5, 6]
    acknowledge(queue, 1)
    assert assigned(queue) == {careful: [2]}
    acknowledge(queue, 2, 4)
    assert assigned(queue) == {careful: [3], other: [7]}


def test_a_message_that_fails_is_redelivered_after_a_pause_that_doubles_and_dies_with_its_traceback() -> None:
    queue = GroupQueue(DeliveryRules(max_deliver=3, retry_delay_s=1.0))
    queue.join(b"a", 10)
    queue.offer(messages([1]))
    assert assigned(queue, 0.0) == {b"a": [1]}
    assert fail(queue, b"a", 1, 0.0, delay_s=None) is None
    assert queue.next_due() == 1.0
    assert assigned(queue, 0.9) == {}
    assert assigned(queue, 1.0) == {b"a": [1]}
    assert fail(queue, b"a", 1, 1.0, delay_s=None) is None
    assert queue.next_due() == 3.0
    assert assigned(queue, 3.0) == {b"a": [1]}
    dead = fail(queue, b"a", 1, 3.0)
    assert dead is not None
    assert (dead.queued.attempt, dead.reason, dead.traceback) == (3, "ValueError: x", "Traceback")
    assert not queue.messages


def test_the_pause_between_tries_has_an_end_however_many_there_are() -> None:
    rules = DeliveryRules(retry_delay_s=1.0, most_delay_s=60.0)
    assert [rules.delay_s(attempt) for attempt in (1, 2, 3, 7, 1000)] == [1.0, 2.0, 4.0, 60.0, 60.0]


def test_a_rejected_message_is_dead_after_one_try_and_gives_the_member_its_credit_back() -> None:
    queue = queue_of(b"a", prefetch=1, max_deliver=5)
    queue.offer(messages([1, 2], key="k"))
    assert assigned(queue) == {b"a": [1]}
    dead = queue.reject(b"a", 1, reason="no such order", traceback="")
    assert dead is not None
    assert (dead.queued.attempt, dead.reason) == (1, "no such order")
    assert assigned(queue) == {b"a": [2]}
    assert queue.reject(b"a", 1, reason="again", traceback="") is None


def test_a_consumer_that_lets_a_message_time_out_gets_nothing_until_it_is_heard_of() -> None:
    queue = queue_of(b"a", ack_timeout_s=30.0)
    queue.offer(messages([1]))
    assert assigned(queue, 0.0) == {b"a": [1]}
    assert queue.next_due() == 30.0
    dead, silent = queue.expire(30.0)
    assert (dead, [member.identity for member in silent]) == ([], [b"a"])
    assert assigned(queue, 30.0) == {}
    assert queue.mark_alive(b"a")
    assert not queue.mark_alive(b"a")
    assert assigned(queue, 30.0) == {b"a": [1]}
    (dead_letter,), _ = queue.expire(60.0)
    assert dead_letter.reason == "not acknowledged within 30 s"


def test_working_gives_a_message_more_time_and_only_to_who_has_it() -> None:
    queue = queue_of(b"a", b"b", ack_timeout_s=30.0)
    queue.offer(messages([1]))
    ((name, _),) = assigned(queue, 0.0).items()
    other = b"b" if name == b"a" else b"a"
    assert queue.extend_deadlines(other, [1], 20.0) == 1
    assert queue.extend_deadlines(name, [1, 1, 99], 20.0) == 1
    assert queue.next_due() == 50.0
    assert queue.expire(49.0) == ([], [])
    assert queue.expire(50.0)[1]


def test_a_message_in_flight_whenever_the_producer_ends_does_not_live_for_ever() -> None:
    queue = queue_of(max_deliver=2)
    assert queue.offer_redelivery(messages([1])[0], 2) is None
    queue.join(b"a", 10)
    assert [(one.attempt, one.redelivered) for one in assign(queue)[b"a"]] == [(3, True)]
    dead = queue_of(max_deliver=2).offer_redelivery(messages([1])[0], 3)
    assert dead is not None
    assert dead.reason == "the producer ended 3 times while a consumer had it"


def test_who_had_suspects_goes_on_with_the_rest_when_they_are_done() -> None:
    queue = queue_of(b"a", prefetch=2)
    queue.offer(messages([1, 2]))
    assign(queue)
    queue.leave(b"a", "lost")
    queue.offer(messages([3, 4]))
    queue.join(b"b", 2)
    assert assigned(queue) == {b"b": [1]}
    acknowledge(queue, 1)
    assert assigned(queue) == {b"b": [2]}
    acknowledge(queue, 2)
    assert assigned(queue) == {b"b": [3, 4]}


def test_a_suspect_that_is_returned_is_still_handed_out_by_itself() -> None:
    queue = queue_of(b"a")
    queue.offer(messages([1, 2]))
    assign(queue)
    queue.leave(b"a", "lost")
    queue.join(b"b", 100)
    assert assigned(queue) == {b"b": [1]}
    assert queue.requeue(b"b", [1]) == 0
    assert assigned(queue) == {}  # it is about to leave
    queue.join(b"c", 100)
    assert [(numbers(entries), entries[0].attempt) for entries in assign(queue).values()] == [([1], 2)]


def test_who_returns_something_gets_nothing_more_and_what_it_abandons_counts_as_a_try() -> None:
    queue = queue_of(b"a", prefetch=3)
    queue.offer(messages(range(1, 7)))
    assert assigned(queue) == {b"a": [1, 2, 3]}
    assert queue.requeue(b"a", [3]) == 0
    assert assigned(queue) == {}
    assert queue.in_flight_of(b"a") == [1, 2]
    assert queue.abandon(b"a", [2, 2, 99], "left") == (1, [])
    assert queue.abandon(b"stranger", [1], "left") == (1, [])
    queue.mark_alive(b"a")
    assert assigned(queue) == {}
    queue.requeue(b"a", queue.in_flight_of(b"a"))
    assert queue.leave(b"a", "left") == []
    queue.join(b"b", 10)
    assert [(entry.message.seq, entry.attempt) for entry in assign(queue)[b"b"]] == [(2, 2)]
    acknowledge(queue, 2)
    assert [(entry.message.seq, entry.attempt) for entry in assign(queue)[b"b"]] == [
        (1, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
    ]


# --- sharing


def test_messages_are_shared_evenly_by_those_that_have_room() -> None:
    queue = queue_of(b"a", b"b", b"c", b"d", prefetch=100)
    queue.offer(messages(range(1, 101)))
    assert Counter(map(len, assigned(queue).values())) == {25: 4}
    queue.offer(messages(range(101, 1001)))
    assert Counter(map(len, assigned(queue).values())) == {75: 4}
    assert assigned(queue) == {}


def test_who_has_least_gets_the_next_one() -> None:
    queue = queue_of(b"a", b"b", prefetch=10)
    queue.offer(messages([1, 2, 3, 4]))
    given = assigned(queue)
    acknowledge(queue, *given[b"b"])
    queue.offer(messages([5]))
    assert assigned(queue) == {b"b": [5]}


def test_members_that_are_idle_get_single_messages_in_turn() -> None:
    queue = queue_of(b"a", b"b", b"c")
    turns: list[bytes] = []
    for seq in range(1, 7):
        queue.offer(messages([seq]))
        turns += assigned(queue)
        acknowledge(queue, seq)
    assert turns == [b"a", b"b", b"c", b"a", b"b", b"c"]


def test_nothing_waits_while_anybody_has_room() -> None:
    queue = queue_of()
    for name, prefetch in ((b"a", 10), (b"b", 1), (b"c", 2)):
        queue.join(name, prefetch)
    queue.offer(messages(range(1, 14)))
    assert {name: len(given) for name, given in assigned(queue).items()} == {b"a": 10, b"b": 1, b"c": 2}


def test_a_consumer_never_has_more_than_its_prefetch() -> None:
    queue = queue_of(b"a", prefetch=3)
    queue.offer(messages(range(1, 10)))
    assert assigned(queue) == {b"a": [1, 2, 3]}
    acknowledge(queue, 2)
    assert assigned(queue) == {b"a": [4]}


# --- keys


def test_messages_of_a_key_go_to_one_member_in_their_order() -> None:
    queue = queue_of(b"a", b"b", b"c", prefetch=7)
    queue.offer([messages([seq], key="xyz"[seq % 3])[0] for seq in range(1, 300)])
    got: dict[str, list[int]] = {"x": [], "y": [], "z": []}
    while queue.messages:
        for entries in assign(queue).values():
            for entry in entries:
                got[entry.message.key].append(entry.message.seq)
        holders = {
            (entry.message.key, entry.member.identity)
            for entry in queue.messages.values()
            if entry.member is not None and entry.state.name == "IN_FLIGHT"
        }
        assert len(holders) == len(dict(holders))
        acknowledge(queue, next(seq for seq, entry in queue.messages.items() if entry.attempt))
    assert all(seqs == sorted(seqs) for seqs in got.values())
    assert sum(map(len, got.values())) == 299


def test_a_slow_key_does_not_stop_others() -> None:
    queue = queue_of(b"a", b"b", prefetch=2)
    queue.offer(messages(range(1, 11), key="slow"))
    ((slow, given),) = assigned(queue).items()
    assert given == [1, 2]
    queue.offer(messages(range(11, 15), key="other") + messages([15]))
    other = b"b" if slow == b"a" else b"a"
    assert assigned(queue) == {other: [11, 12]}
    acknowledge(queue, 11, 12)
    assert assigned(queue) == {other: [13, 14]}
    acknowledge(queue, 13, 14)
    assert assigned(queue) == {other: [15]}


def test_a_key_goes_to_another_member_only_when_the_first_has_none_of_it() -> None:
    queue = queue_of(b"a", prefetch=1)
    queue.offer(messages([1, 2], key="k"))
    assert assigned(queue) == {b"a": [1]}
    queue.join(b"b", 1)
    assert assigned(queue) == {}
    queue.offer(messages([3]))
    assert assigned(queue) == {b"b": [3]}
    queue.join(b"c", 5)
    acknowledge(queue, 1)
    ((_, given),) = assigned(queue).items()
    assert given == [2]


def test_messages_of_a_key_without_order_are_shared_evenly_by_all_members() -> None:
    queue = queue_of(b"a", b"b", b"c", b"d", ordered=False)
    queue.offer(messages(range(1, 101), key="k"))
    assert Counter(map(len, assigned(queue).values())) == {25: 4}


def test_without_order_a_stopped_member_holds_up_only_what_it_has() -> None:
    queue = queue_of(b"stopped", b"b", prefetch=2, ordered=False)
    queue.offer(messages(range(1, 101), key="k"))
    stuck = set(assigned(queue)[b"stopped"])
    handled = set[int]()
    while given := queue.in_flight_of(b"b"):
        handled.update(acknowledge(queue, *given))
        assign(queue)
    assert handled == set(range(1, 101)) - stuck


def test_when_a_member_is_lost_the_order_of_a_key_holds_still() -> None:
    queue = queue_of(b"a", prefetch=3)
    queue.offer(messages(range(1, 7), key="k"))
    assert assigned(queue) == {b"a": [1, 2, 3]}
    queue.leave(b"a", "lost")
    queue.join(b"b", 3)
    queue.join(b"c", 3)
    order = []
    while queue.messages:
        for seqs in assigned(queue).values():
            order += seqs
            acknowledge(queue, *seqs)
    assert order == [1, 2, 3, 4, 5, 6]


def test_a_message_of_a_key_that_timed_out_waits_until_its_member_has_no_other_of_that_key() -> None:
    queue = queue_of(b"a", prefetch=2)
    queue.offer(messages([1, 2, 3], key="k"))
    assert assigned(queue) == {b"a": [1, 2]}
    queue.extend_deadlines(b"a", [2], 10.0)
    queue.expire(30.0)
    queue.join(b"b", 2)
    queue.offer(messages([4]))
    assert assigned(queue, 30.0) == {b"b": [4]}
    acknowledge(queue, 2, 4)
    assert assigned(queue, 31.0) == {b"b": [1]}
    acknowledge(queue, 1)
    assert assigned(queue, 32.0) == {b"b": [3]}


def test_what_is_returned_is_handed_out_again_in_its_order_and_that_try_does_not_count() -> None:
    queue = queue_of(b"a", prefetch=3)
    queue.offer(messages(range(1, 6), key="k") + messages([6]))
    assert assigned(queue) == {b"a": [1, 2, 3]}
    assert queue.requeue(b"a", [3, 2]) == 0
    queue.leave(b"a", "left")
    queue.join(b"b", 10)
    assert assigned(queue) == {b"b": [1]}
    acknowledge(queue, 1)
    given = assign(queue)[b"b"]
    assert numbers(given) in ([2, 3, 4, 5, 6], [6, 2, 3, 4, 5])
    assert {(entry.attempt, entry.redelivered) for entry in given} == {(1, False)}


@pytest.mark.parametrize("returns", [([1, 2], [3, 4]), ([3, 4], [1, 2]), ([2], [4], [1], [3])])
def test_messages_of_a_key_that_are_returned_one_after_the_other_keep_their_order(
    returns: tuple[list[int], ...],
) -> None:
    queue = queue_of(b"a", prefetch=4)
    queue.offer(messages(range(1, 7), key="k"))
    assert assigned(queue) == {b"a": [1, 2, 3, 4]}
    for seqs in returns:
        assert queue.requeue(b"a", seqs) == 0
    queue.join(b"b", 10)
    assert assigned(queue) == {b"b": [1, 2, 3, 4, 5, 6]}


# --- acknowledgements


def test_a_late_acknowledgement_counts_while_the_message_waits_or_somebody_else_has_it() -> None:
    queue = queue_of(b"a")
    queue.offer(messages([1, 2, 3]))
    assign(queue)
    fail(queue, b"a", 3, delay_s=10.0)
    queue.leave(b"a", "lost")
    assert acknowledge(queue, 2, 3) == [2, 3]
    queue.join(b"b", 100)
    assert assigned(queue) == {b"b": [1]}
    assert acknowledge(queue, 1) == [1]
    assert (queue.in_flight, queue.members[b"b"].in_flight) == (0, 0)
    assert assigned(queue, 20.0) == {}


def test_an_acknowledgement_after_a_restart_of_what_was_handed_out_before_it_counts() -> None:
    queue = queue_of()
    queue.offer_redelivery(messages([1])[0], 0)
    assert acknowledge(queue, 1) == [1]


def test_what_was_acknowledged_twice_or_never_given_is_counted_however_much_it_is() -> None:
    queue = queue_of(b"a", prefetch=2)
    queue.offer(messages([1, 2, 3]))
    assert assigned(queue) == {b"a": [1, 2]}
    assert queue.acknowledge([(1, 1)]) == ([1], 0)
    assert queue.acknowledge([(1, 1)]) == ([], 1)
    assert queue.acknowledge([(1, MAX_NUMBER)]) == ([2], MAX_NUMBER - 1)
    assert list(queue.messages) == [3]


def test_only_who_has_a_message_can_refuse_or_return_it() -> None:
    queue = queue_of(b"a", b"b")
    queue.offer(messages([1]))
    ((name, _),) = assigned(queue).items()
    other = b"b" if name == b"a" else b"a"
    assert queue.nack(other, 1, 0.0, delay_s=0.0, reason="", traceback="") == (False, None)
    assert queue.requeue(other, [1, 2]) == 2
    assert queue.requeue(b"stranger", [1]) == 1
    assert (queue.in_flight, queue.members[name].in_flight) == (1, 1)


# --- what is kept


def test_one_message_that_takes_long_keeps_nothing_of_those_that_are_finished_after_it() -> None:
    queue = queue_of(b"a", prefetch=100)
    for first in range(1, 50_001, 100):
        queue.offer(messages(range(first, first + 100)))
        given = assigned(queue)[b"a"]
        acknowledge(queue, *(seq for seq in given if seq != 1))
    assert list(queue.messages)[:1] == [1]
    assert len(queue._deadlines) < 2000


@pytest.mark.parametrize("key", ["", "k"])
def test_messages_that_are_dropped_while_nobody_takes_any_are_let_go(key: str) -> None:
    queue = queue_of(b"a", prefetch=1)
    queue.offer(messages([1], key))
    assign(queue)
    for first in range(2, 50_000, 100):
        queue.offer(messages(range(first, first + 100), key))
        assign(queue)
        queue.discard(range(first, first + 100))
    waiting = sum(len(one.waiting) for one in queue._keys._queues.values())
    assert len(queue._ready) + waiting < 2000
    acknowledge(queue, 1)
    assert assigned(queue) == {}
    assert len(queue._keys) == 0


def test_messages_that_are_dropped_during_their_pause_are_let_go() -> None:
    queue = queue_of(b"a", prefetch=100)
    for first in range(1, 20_001, 100):
        queue.offer(messages(range(first, first + 100)))
        for seq in assigned(queue)[b"a"]:
            fail(queue, b"a", seq, delay_s=1e6)
        queue.discard(range(first, first + 100))
    assert len(queue._retries) < 2000
    assert queue.next_due() is None
