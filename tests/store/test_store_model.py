"""Random transactions on both kinds of stores, compared with dictionaries; files are reopened in between."""

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - the profile of hypothesis
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, GroupRecord, Store, StoredDeadLetter, Transaction, Trim, size_of
from colugo.store.memory_store import MemoryStore
from tests.support.essentials import run
from tests.support.storing import ALL, commit, dead_letters, get, read, sqlite_store

GROUPS = ["", "a", "b", "ü"]
HIGHEST = 50

short = st.binary(max_size=4)
words = st.sampled_from(["", "k", "k.é"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
payloads = short | st.sampled_from([bytes(3000), b"x" * 9000])
seqs = st.integers(1, HIGHEST)
groups = st.sampled_from(GROUPS)
records = st.builds(
    GroupRecord,
    groups,
    st.booleans(),
    st.lists(words, max_size=2).map(tuple),
    short,
    st.integers(0, 2**60),
    short,
    st.booleans(),
    st.integers(0, 2**60),
)
limits = st.none() | st.integers(0, 12)
trims = st.none() | st.builds(Trim, limits, limits.map(lambda n: n and n * 20), limits)


@st.composite
def messages(draw: st.DrawFn, seq: int) -> StreamMessage:
    return StreamMessage(
        seq,
        draw(words),
        draw(short),
        draw(payloads),
        draw(st.integers(0, 1)),
        draw(st.integers(0, 20)),
        draw(groups),
    )


@st.composite
def transactions(draw: st.DrawFn) -> dict[str, Any]:
    """Parts of a transaction; the model drops sequence numbers that were used before."""
    tries = st.tuples(groups, seqs, st.integers(1, 9))
    dead = st.tuples(groups, seqs, words)
    return {
        "inserts": [draw(messages(seq)) for seq in sorted(draw(st.sets(seqs, max_size=4)))],
        "deletes": draw(st.lists(st.tuples(seqs, seqs), max_size=2)),
        "gone": draw(st.lists(groups, max_size=1)),
        "groups": {record.name: record for record in draw(st.lists(records, max_size=2))},
        "attempts": draw(st.lists(tries, max_size=2)),
        "settled": draw(st.lists(st.tuples(groups, seqs), max_size=2)),
        "dead": [
            StoredDeadLetter(draw(messages(seq)), group, 2, text, text[::-1], 4)
            for group, seq, text in draw(st.lists(dead, max_size=2, unique_by=lambda one: one[:2]))
        ],
        "undead": draw(st.lists(st.tuples(groups, seqs), max_size=2)),
        "trim": draw(trims),
    }


@dataclass
class Model:
    messages: dict[int, StreamMessage] = field(default_factory=dict)
    groups: dict[str, GroupRecord] = field(default_factory=dict)
    attempts: dict[tuple[str, int], int] = field(default_factory=dict)
    dead: dict[tuple[int, str], StoredDeadLetter] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        letters = [letter.message for letter in self.dead.values()]
        return sum(map(size_of, [*self.messages.values(), *letters]))

    def possible(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Drop sequence numbers that were used before."""
        return parts | {
            "inserts": [one for one in parts["inserts"] if one.seq not in self.used],
        }

    def commit(self, parts: dict[str, Any]) -> CommitOutcome:
        for one in parts["inserts"]:
            self.messages[one.seq] = one
            self.used.add(one.seq)
        for first, last in parts["deletes"]:
            self.remove([seq for seq in range(1, HIGHEST + 1) if first <= seq <= last])
        for letter in parts["dead"]:
            self.dead[letter.message.seq, letter.group] = letter
        for group, seq in parts["undead"]:
            self.dead.pop((seq, group), None)
        for name in parts["gone"]:
            self.groups.pop(name, None)
        self.groups |= {name: replace(record) for name, record in parts["groups"].items()}
        for group, seq, tries in parts["attempts"]:
            self.attempts[group, seq] = tries
        for pair in parts["settled"]:
            self.attempts.pop(pair, None)
        trimmed, expired = self.trim(parts["trim"] or Trim())
        return CommitOutcome(len(self.messages), self.size, len(self.dead), trimmed, expired)

    def trim(self, trim: Trim) -> tuple[list[int], list[int]]:
        expired: list[int] = []
        trimmed: list[int] = []
        if trim.oldest_ns is not None:
            for seq in sorted(self.messages):
                if self.messages[seq].sent_ns >= trim.oldest_ns:
                    break
                expired.append(seq)
        self.remove(range(1, max(expired, default=0) + 1))
        while self.messages and (
            (trim.max_messages is not None and len(self.messages) > trim.max_messages)
            or (trim.max_bytes is not None and self.size > trim.max_bytes)
        ):
            trimmed.append(min(self.messages))
            self.remove(range(1, trimmed[-1] + 1))
        return trimmed, expired

    def remove(self, numbers: Any) -> None:
        for seq in numbers:
            self.messages.pop(seq, None)
            for group in GROUPS:
                self.attempts.pop((group, seq), None)


async def compare(store: Store, model: Model, after: int, limit: int) -> None:
    expected = [model.messages[seq] for seq in sorted(model.messages)]
    assert await read(store) == expected
    later = [one for one in expected if one.seq > after]
    assert await read(store, after, limit) == later[:limit]
    assert await get(store, after, limit) == [one for one in expected if one.seq in {after, limit}]
    letters = [model.dead[place] for place in sorted(model.dead)]
    assert await dead_letters(store) == letters
    assert (
        await dead_letters(store, group="a", key="k", limit=limit)
        == [letter for letter in letters if letter.group == "a" and letter.message.key == "k"][:limit]
    )
    if letters:
        budget = len(letters[0].message.payload)
        few = await dead_letters(store, max_bytes=budget)
        assert few == letters[: len(few)]
        assert (
            few == letters
            or len(few[0].message.payload)
            + sum(len(letter.message.payload) for letter in letters[1 : len(few) + 1])
            > budget
        )
    ids = [("a", after), ("b", limit)]
    assert await dead_letters(store, ids=ids) == [
        letter for letter in letters if (letter.group, letter.message.seq) in ids
    ]


steps = st.lists(st.tuples(transactions(), st.booleans(), seqs, seqs), max_size=8)


@settings(max_examples=60)
@given(steps)
def test_a_store_in_a_file_does_what_dictionaries_do(given_steps: list[Any]) -> None:
    async def main(path: Path) -> None:
        model = Model()
        store = sqlite_store(path, durability="os")
        stream_id = store.open().stream_id
        for parts, reopens, after, limit in given_steps:
            possible = model.possible(parts)
            assert await commit(store, **possible) == model.commit(possible)
            await compare(store, model, after, limit)
            if reopens:
                await store.aclose()
                store = sqlite_store(path, durability="os")
                opened = store.open()
                assert opened.stream_id == stream_id
                assert opened.last_seq == max(model.used, default=0)
                assert (opened.count, opened.size) == (len(model.messages), model.size)
                assert opened.dead == len(model.dead)
                assert opened.groups == [model.groups[name] for name in sorted(model.groups)]
                assert opened.attempts == model.attempts
        await store.aclose()

    with tempfile.TemporaryDirectory() as folder:
        run(main(Path(folder) / "s.db"))


@settings(max_examples=100)
@given(steps)
def test_a_store_in_memory_does_what_dictionaries_do(given_steps: list[Any]) -> None:
    async def main() -> None:
        model = Model()
        store = MemoryStore()
        store.open()
        for parts, _, after, limit in given_steps:
            possible = model.possible(parts)
            assert await commit(store, **possible) == model.commit(possible)
            await compare(store, model, after, limit)
        assert store._groups == model.groups
        assert store._attempts == model.attempts
        await store.aclose()

    run(main())


def test_the_list_of_numbers_in_memory_does_not_grow_with_what_has_gone() -> None:
    store = MemoryStore()
    store.open()
    for seq in range(1, 20_001):
        inserts = [StreamMessage(seq, "", b"", b"", 0, 0)]
        store.commit(Transaction(inserts=inserts, deletes=[(seq - 5, seq - 5)]), lambda _: None)
    assert len(store._messages) == 5
    assert len(store._order) < 1100
    found: list[Any] = []
    store.read(0, ALL, ALL, found.append)
    assert [one.seq for one in found[0]] == list(range(19_996, 20_001))
    store.close()
