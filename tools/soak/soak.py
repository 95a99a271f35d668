"""The supervisor of a soak: starts the processes, kills them, cuts cables, and judges what came of it."""

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.soak.actor import Actor
from tools.soak.places import Place
from tools.soak.records import CONFIRMED, CUT, DRAINED, KILLED, MENDED, STARTED, Recorder, read_records
from tools.soak.roles import Options, records_path, store_path
from tools.soak.troubles import Kill, cuts, kills
from tools.soak.verdict import Verdict, judge, look_at_output, look_at_store

GROUPS = ("audit", "billing")
EVENTS = "events.records"
MIB = 1024 * 1024
_STEP_S = 0.02
_WATCH_S = 0.25
_END_S = 15.0
_STATE_S = 2.0


@dataclass(frozen=True)
class Plan:
    """How much is to happen.

    Attributes:
        messages: how many are confirmed at least.
        kills: how many processes are killed.
        cuts: how many times a cable is cut; more than 0 needs hosts.
        seconds: how long the sending and the killing take, roughly.
        seed: all that is random follows from it, but for what time makes of it.
        producers: how many processes send.
        members: how many consumers each group has.
        max_messages: how many a stream holds.
        drain_s: how many seconds the streams may take at the end until all is acknowledged.
        most_memory: how many bytes a process may have.
    """

    messages: int
    kills: int
    cuts: int
    seconds: float
    seed: int
    producers: int = 3
    members: int = 3
    max_messages: int = 500
    drain_s: float = 120.0
    most_memory: int = 160 * MIB


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        plan: what was to happen.
        verdict: the figures, and what is wrong.
        kills: how many, by role.
        cuts: how many.
        memory: the most bytes of a process, by role.
        sending_s: seconds until the last message was confirmed.
        seconds: seconds until all was acknowledged.
    """

    plan: Plan
    verdict: Verdict
    kills: Counter[str]
    cuts: int
    memory: dict[str, int]
    sending_s: float
    seconds: float


@dataclass
class _Mending:
    at: float
    place: Place = field(compare=False)


class Soak:
    """One soak in a folder.

    Args:
        plan: how much is to happen.
        folder: for its files; empty.
        places: where its processes are; the producers are in the first.
        tell: gets a line now and then.
    """

    def __init__(
        self, plan: Plan, folder: Path, places: Sequence[Place], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._places = places
        self._tell = tell
        self._events = Recorder(folder / EVENTS)
        realm = f"soak-{uuid.uuid4().hex[:12]}"
        self._producers = [Actor(self._producer(n), places[0], realm) for n in range(plan.producers)]
        others = places[1:] or places
        self._consumers = {
            group: [
                Actor(self._consumer(group, n), others[n % len(others)], realm) for n in range(plan.members)
            ]
            for group in GROUPS
        }
        self._actors = [*self._producers, *(one for some in self._consumers.values() for one in some)]
        self._kills = deque(kills(plan.seed, plan.kills, plan.seconds))
        self._cuts = deque(cuts(plan.seed, plan.cuts, plan.seconds))
        self._back: list[tuple[float, Actor]] = []
        self._mendings: list[_Mending] = []
        self._faults: list[str] = []
        self._killed: Counter[str] = Counter()
        self._cut = 0
        self._began = time.monotonic()
        self._watched = 0.0

    def _producer(self, number: int) -> Options:
        plan = self._plan
        return Options(
            "producer",
            f"producer{number}",
            0,
            str(self._folder),
            plan.seed,
            groups=list(GROUPS),
            rate=plan.messages / plan.producers / plan.seconds,
            max_messages=plan.max_messages,
        )

    def _consumer(self, group: str, number: int) -> Options:
        name, seed = f"{group}{number}", self._plan.seed
        return Options("consumer", name, 0, str(self._folder), seed, group=group, number=number)

    def run(self) -> Outcome:
        """Do all of it; what was started has ended then."""
        try:
            for actor in self._actors:
                self._start(actor)
            self._began = time.monotonic()
            self._go_on(self._is_enough, 3 * self._plan.seconds + 60)
            sending_s = self._now()
            for actor in self._producers:
                actor.tell("enough")
            if not self._faults:
                self._go_on(self._is_drained, self._plan.drain_s)
            seconds = self._now()
            if self._faults:
                self._ask_state()
            else:
                self._end()
        finally:
            for actor in self._actors:
                actor.kill()
            for mending in self._mendings:
                self._mend(mending)
        return self._judged(sending_s, seconds)

    # --- what happens

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _go_on(self, done: Callable[[], bool], within_s: float) -> None:
        """Let it run until this holds, or something is wrong."""
        deadline = time.monotonic() + within_s
        while not self._faults:
            self._step()
            if done():
                return
            if time.monotonic() > deadline:
                self._faults.append(f"after {within_s:g} s there is no end: {self._progress()}")
            time.sleep(_STEP_S)

    def _step(self) -> None:
        now = self._now()
        for due in [one for one in self._back if one[0] <= now]:
            self._back.remove(due)
            self._start(due[1])
        for mending in [one for one in self._mendings if one.at <= now]:
            self._mendings.remove(mending)
            self._mend(mending)
        if self._kills and self._kills[0].at <= now:
            self._kill(self._kills.popleft())
        if self._cuts and self._cuts[0].at <= now:
            self._cut_one()
        if now - self._watched >= _WATCH_S:
            self._watched = now
            self._watch()

    def _watch(self) -> None:
        for actor in self._actors:
            actor.watch()
            if actor.runs and actor.status is not None:
                self._faults.append(f"{actor.name} has ended by itself, with status {actor.status}")
            if actor.most_memory > self._plan.most_memory:
                self._faults.append(f"{actor.name} has {actor.most_memory / MIB:.0f} MiB of memory")
        self._tell(self._progress())

    def _progress(self) -> str:
        confirmed, killed = self._confirmed(), self._killed.total()
        return f"{self._now():.0f} s: {confirmed} confirmed, {killed} kills, {self._cut} cuts"

    def _start(self, actor: Actor) -> None:
        self._events.add(STARTED, actor.name, actor.start())

    def _kill(self, kill: Kill) -> None:
        running = [actor for actor in self._actors if actor.runs]
        if not running:
            self._kills.appendleft(kill)  # as soon as there is one
            return
        actor = running[int(kill.choice * len(running))]
        actor.kill()
        self._events.add(KILLED, actor.name)
        self._killed[actor.role] += 1
        self._back.append((self._now() + kill.back_s, actor))

    def _cut_one(self) -> None:
        broken = [mending.place for mending in self._mendings]
        whole = [place for place in self._places if place.cable is not None and place not in broken]
        if not whole:
            return
        cut = self._cuts.popleft()
        place = whole[int(cut.choice * len(whole))]
        assert place.cable is not None
        place.cable.cut(cut.way)
        self._events.add(CUT, place.name, cut.way, cut.lasts_s)
        self._cut += 1
        self._mendings.append(_Mending(self._now() + cut.lasts_s, place))

    def _mend(self, mending: _Mending) -> None:
        assert mending.place.cable is not None
        mending.place.cable.mend()
        self._events.add(MENDED, mending.place.name)

    # --- until when

    def _confirmed(self) -> int:
        return sum(actor.records.counts.get(CONFIRMED, 0) for actor in self._producers)

    def _is_enough(self) -> bool:
        over = not (self._kills or self._cuts or self._back or self._mendings)
        return over and self._confirmed() >= self._plan.messages

    def _is_drained(self) -> bool:
        return all(DRAINED in actor.records.counts for actor in self._producers)

    def _end(self) -> None:
        for actor in self._actors:
            actor.watch()
            status = actor.end(_END_S)
            if status != 0:
                self._faults.append(f"{actor.name} did not end well: status {status}")

    def _ask_state(self) -> None:
        """For whoever looks at the records, since something is wrong."""
        for actor in self._actors:
            if actor.runs:
                actor.tell("state")
        time.sleep(_STATE_S)

    # --- what came of it

    def _judged(self, sending_s: float, seconds: float) -> Outcome:
        consumers = {
            group: {actor.name: read_records(records_path(self._folder, actor.name)) for actor in actors}
            for group, actors in self._consumers.items()
        }
        producers = {
            actor.name: read_records(records_path(self._folder, actor.name)) for actor in self._producers
        }
        verdict = judge(producers, consumers)
        for actor in self._producers:
            verdict.faults += look_at_store(store_path(self._folder, actor.name))
        for actor in self._actors:
            verdict.faults += look_at_output(actor.output)
        verdict.faults[:0] = self._faults
        return Outcome(
            self._plan, verdict, self._killed, self._cut, _most_memory(self._actors), sending_s, seconds
        )


def _most_memory(actors: Sequence[Actor]) -> dict[str, int]:
    most: Mapping[str, int] = {}
    for actor in actors:
        most = {**most, actor.role: max(most.get(actor.role, 0), actor.most_memory)}
    return dict(most)
