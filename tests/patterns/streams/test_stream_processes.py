"""Streams across processes: killed consumers, killed producers, and what has been synced when."""

import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import time
from pathlib import Path

import pytest

from colugo import Node
from tests.support.essentials import Program, run, seconds, until
from tests.support.processes import answer, program
from tests.support.streaming import drained


def test_what_a_killed_consumer_had_is_redelivered_to_another_member(realm: str) -> None:
    async def main() -> None:
        with program("stream_consumer", realm, topic="t", wait_ms=60_000) as doomed:
            async with Node("p", realm=realm) as p:
                stream = p.add_stream("t")
                await stream.ready()
                for n in range(50):
                    stream.send(str(n))
                await asyncio.to_thread(doomed.expect, "got ")
                got = []
                p.add_consumer("t", lambda message, delivery: got.append((int(message), delivery)), group="g")
                await stream.ready(2)
                began = time.monotonic()
                doomed.signal(signal.SIGKILL)
                await drained(stream, 20)
                print(f"all handled {1000 * (time.monotonic() - began):.0f} ms after the kill")
                assert sorted(number for number, _ in got) == list(range(50))
                assert all(delivery.redelivered and delivery.attempt == 2 for _, delivery in got)
                assert stream.stats.dead == 0

    run(main(), within=40)


def test_a_killed_consumer_is_missed_at_once(realm: str) -> None:
    """From SIGKILL until another member has its message."""

    async def once() -> float:
        with program("stream_consumer", realm, topic="t", wait_ms=60_000) as doomed:
            async with Node("p", realm=realm) as p:
                stream = p.add_stream("t")
                await stream.ready()
                stream.send("x")
                await asyncio.to_thread(doomed.expect, "got ")
                got = asyncio.Event()
                p.add_consumer("t", lambda message: got.set(), group="g")
                await stream.ready(2)
                began = time.monotonic()
                doomed.signal(signal.SIGKILL)
                async with asyncio.timeout(seconds(10)):
                    await got.wait()
                return time.monotonic() - began

    took = [run(once(), within=40) for _ in range(5)]
    print(f"median {1000 * statistics.median(took):.1f} ms, most {1000 * max(took):.1f} ms")
    assert statistics.median(took) < seconds(0.5)


def test_a_message_that_kills_its_consumers_is_dead_after_its_tries_and_takes_no_other_with_it(
    realm: str,
) -> None:
    async def main() -> None:
        async with Node("p", realm=realm) as p:
            stream = p.add_stream("t", groups=["g"])
            for n in range(50):
                stream.send("poison" if n == 20 else str(n))
            for _ in range(2):
                with program("stream_consumer", realm, topic="t", poison="poison") as consumer:
                    assert await asyncio.to_thread(consumer.wait, 30) == -signal.SIGKILL
                await until(lambda: not stream.consumers)
            with program("stream_consumer", realm, topic="t", poison="poison") as survivor:
                await drained(stream, 20)
                assert not survivor.ended
            (letter,) = await stream.dead_letters.find()
            assert (letter.message, letter.attempts) == ("poison", 2)
            assert "lost" in letter.reason

    run(main(), within=60)


def test_a_killed_producer_delivers_on_what_was_stored(realm: str, tmp_path: Path) -> None:
    store = str(tmp_path / "t.db")
    with program("stream_producer", realm, topic="t", store=store, groups=["g"], messages=300) as producer:
        producer.expect("sent")
        producer.kill()
    with (
        program("stream_consumer", realm, topic="t") as consumer,
        program("stream_producer", realm, topic="t", store=store, then="drain") as producer,
    ):
        assert answer(producer, "kept")["messages"] == 300
        assert answer(producer, "drained", 30) == {"dead": 0, "messages": 0}
        got = [json.loads(line[4:]) for line in consumer.lines if line.startswith("got ")]
        assert [one["message"] for one in got] == [f"message-{n:06}" for n in range(300)]


def test_a_producer_that_is_killed_while_its_messages_are_handled_flags_what_comes_twice(
    realm: str, tmp_path: Path
) -> None:
    store = str(tmp_path / "t.db")
    options = {"topic": "t", "store": store, "groups": ["g"]}
    with program("stream_consumer", realm, topic="t", prefetch=10, wait_ms=20) as consumer:
        with program("stream_producer", realm, messages=40, **options) as producer:
            for _ in range(15):
                consumer.expect("got ")
            producer.kill()
        with program("stream_producer", realm, then="drain", max_deliver=10, **options) as producer:
            assert answer(producer, "drained", 30) == {"dead": 0, "messages": 0}
        got = [json.loads(line[4:]) for line in consumer.lines if line.startswith("got ")]
        seen: set[str] = set()
        for one in got:
            assert one["redelivered"] or one["message"] not in seen
            seen.add(one["message"])
        assert seen == {f"message-{n:06}" for n in range(40)}


def test_each_message_has_been_synced_to_disk_when_send_wait_returns(realm: str, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        assert not os.environ.get("COLUGO_CI"), "strace is needed: apt-get install strace"
        pytest.skip("strace is not installed")
    count = 1000
    trace = tmp_path / "trace"
    options = {"topic": "t", "store": str(tmp_path / "t.db"), "messages": count, "marks": True, "then": "end"}
    prefix = [strace, "-f", "-o", str(trace), "-s", "300000", "-e", "trace=write,pwrite64,fsync,fdatasync"]
    arguments = ["-m", "tests.programs.stream_producer", json.dumps(options)]
    with Program(arguments, realm=realm, prefix=prefix) as producer:
        assert producer.wait(within=120) == 0
    check_trace(trace.read_text(errors="replace"), count)


_MESSAGE = re.compile(r"message-(\d{6})")


def check_trace(trace: str, count: int) -> None:
    """Between the write of each message to the store and its mark, a sync has begun and ended."""
    written: set[str] = set()
    synced: set[str] = set()
    syncing: dict[str, set[str]] = {}
    marked = []
    for line in trace.splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.startswith("write(2,") and "stored message-" in call:
            (number,) = set(_MESSAGE.findall(call))
            assert number in synced, f"message {number} was confirmed before it was synced"
            marked.append(int(number))
        elif call.startswith("pwrite64("):
            written.update(_MESSAGE.findall(call))
        elif call.startswith(("fsync(", "fdatasync(")):
            if "<unfinished" in call:
                syncing[pid] = set(written)
            elif call.endswith("= 0"):
                synced |= written
        elif ("fsync resumed" in call or "fdatasync resumed" in call) and call.endswith("= 0"):
            synced |= syncing.pop(pid)
    assert marked == list(range(count))


def test_a_trace_in_which_a_sync_is_missing_is_noticed() -> None:
    ok = [
        '1 pwrite64(7, "..message-000000..", 4096, 0) = 4096',
        "2 fdatasync(7 <unfinished ...>",
        '1 pwrite64(7, "..message-000001..", 4096, 0) = 4096',
        "2 <... fdatasync resumed>) = 0",
        '1 write(2, "stored message-000000\\n", 22) = 22',
    ]
    check_trace("\n".join(ok), 1)
    early = [*ok, '1 write(2, "stored message-000001\\n", 22) = 22']
    with pytest.raises(AssertionError, match="000001"):
        check_trace("\n".join(early), 2)
    failed = [ok[0], "2 fdatasync(7) = -1 EIO (Input/output error)", ok[4]]
    with pytest.raises(AssertionError, match="000000"):
        check_trace("\n".join(failed), 1)
