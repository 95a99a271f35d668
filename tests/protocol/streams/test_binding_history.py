"""Bindings that change while messages wait."""

from hypothesis import given
from hypothesis import strategies as st

from colugo.protocol.streams.bindings import MAX_BINDINGS, MAX_EARLIER, BindingHistory, Bindings

KEYS = ["a", "b", "c"]
patterns = st.lists(st.sampled_from([*KEYS, "#"]), min_size=1, max_size=3, unique=True)


@given(
    patterns,
    st.lists(patterns | st.sampled_from(KEYS) | st.integers(1, 30), max_size=MAX_EARLIER),
)
def test_a_message_is_judged_by_the_bindings_of_when_it_was_sent(
    first: list[str], events: list[list[str] | str | int]
) -> None:
    """Apply events: a list binds anew, a str is the key of a sent message, a number finishes all up to it."""
    history, bound = BindingHistory(first), first
    sent: list[tuple[str, bool]] = []
    done = 0
    for event in events:
        if isinstance(event, list):
            assert history.change(event, len(sent)) == (event != bound)
            bound = event
        elif isinstance(event, str):
            sent.append((event, Bindings(bound).matches(event)))
        else:
            done = max(done, min(event, len(sent)))
            history.finish(done)
        history = BindingHistory(history.now.patterns, history.earlier)  # as after a restart
        for seq, (key, wanted) in enumerate(sent, start=1):
            assert seq <= done or history.wants(seq, key) == wanted
        assert history.all == ("#" in bound and not history.earlier)
    history.finish(len(sent))
    assert history.earlier == ()


def test_bindings_for_all_messages_leave_no_history() -> None:
    history = BindingHistory(["a"])
    history.change(["b"], 7)
    history.change(["c"], 0)
    assert history.earlier == ()
    assert history.wants(1, "c")


@given(st.integers(0, 30), st.sampled_from([1, MAX_BINDINGS]))
def test_however_often_bindings_change_the_history_is_short_and_forgets_no_message(
    count: int, size: int
) -> None:
    history = BindingHistory(["x"])
    sent = []
    for n in range(count):
        history.change([f"{n}.{m}" for m in range(size)], 10 * n)
        sent.append((10 * n + 1, f"{n}.0"))
    assert len(history.earlier) <= MAX_EARLIER
    for seq, key in sent:
        assert history.wants(seq, key)
