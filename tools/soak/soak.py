"""The supervisor of a soak: starts and kills processes, cuts cables, and judges the outcome."""

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.soak.actor import Actor
from tools.soak.cast import Cast
from tools.soak.places import Place
from tools.soak.plan import LISTENERS, MIB, Outcome, Plan
from tools.soak.records import (
    CONFIRMED,
    CUT,
    DRAINED,
    KILLED,
    MENDED,
    STARTED,
    Record,
    Recorder,
    read_records,
)
from tools.soak.troubles import Kill, cuts, kills
from tools.soak.verdict import judge, look_at_output, look_at_store

EVENTS = "events.records"
_STEP_S = 0.02
_WATCH_S = 0.25
_END_S = 15.0
_STATE_S = 2.0
_WORST_S = 10.0
"""How long a process may wait for its worst moment."""


@dataclass(frozen=True)
class _Doom:
    """A pending kill of a process, by the supervisor or by itself."""

    actor: Actor
    until: float
    back_s: float


class Soak:
    """A soak.

    Args:
        plan: the plan.
        folder: an empty folder for its files.
        places: the hosts of its processes; the producers run on the first.
        report: called with a line of progress from time to time.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        places: Sequence[Place],
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._places = places
        self._report = report
        self._events = Recorder(folder / EVENTS)
        self._cast = Cast(plan, folder, places)
        self._actors = self._cast.actors
        self._kills = deque(kills(plan.seed, plan.kills, plan.seconds))
        self._cuts = deque(cuts(plan.seed, plan.cuts, plan.seconds))
        self._dooms: list[_Doom] = []
        self._back: list[tuple[float, Actor]] = []
        self._mendings: list[tuple[float, Place]] = []
        self._faults: list[str] = []
        self._killed: Counter[str] = Counter()
        self._cut = 0
        self._began = time.monotonic()
        self._watched = 0.0

    def run(self) -> Outcome:
        """Run the soak; all its processes have exited when it returns."""
        sending_s = 0.0
        try:
            for actor in self._actors:
                self._start(actor)
            self._began = time.monotonic()
            self._run_until(self._is_enough, 3 * self._plan.seconds + 60)
            sending_s = self._now()
            for actors in (self._cast.sending, self._cast.relays):
                self._drain(actors)
            seconds = self._now()
            if self._faults:
                self._ask_state()
            else:
                self._end()
        finally:
            for actor in self._actors:
                actor.kill()
            for _, place in self._mendings:
                self._mend(place)
        return self._judged(sending_s, seconds)

    # --- until when

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _run_until(self, done: Callable[[], bool], within_s: float) -> None:
        """Run until a condition holds or a fault occurs."""
        deadline = time.monotonic() + within_s
        while not self._faults:
            self._step()
            if done():
                return
            if time.monotonic() > deadline:
                self._faults.append(f"not done after {within_s:g} s: {self._progress()}")
            time.sleep(_STEP_S)

    def _is_enough(self) -> bool:
        over = not (self._kills or self._cuts or self._dooms or self._back or self._mendings)
        return over and self._confirmed() >= self._plan.messages

    def _drain(self, actors: list[Actor]) -> None:
        for actor in actors:
            actor.send("enough")
        self._run_until(lambda: all(DRAINED in one.records.counts for one in actors), self._plan.drain_s)

    def _confirmed(self) -> int:
        return sum(actor.records.counts.get(CONFIRMED, 0) for actor in self._cast.sending)

    def _progress(self) -> str:
        confirmed, killed = self._confirmed(), self._killed.total()
        return f"{self._now():.0f} s: {confirmed} confirmed, {killed} kills, {self._cut} cuts"

    def _end(self) -> None:
        # messengers stop before their relay
        for actor in reversed(self._actors):
            actor.watch()
            status = actor.end(_END_S)
            if status != 0:
                self._faults.append(f"{actor.name} did not exit cleanly: status {status}")

    def _ask_state(self) -> None:
        """Let the processes record their counters, to help find the fault."""
        for actor in self._actors:
            if actor.runs:
                actor.send("state")
        time.sleep(_STATE_S)

    # --- what happens

    def _step(self) -> None:
        now = self._now()
        for doom in list(self._dooms):
            if doom.until <= now or doom.actor.status is not None:
                self._fulfil(doom)
        for due in [one for one in self._back if one[0] <= now]:
            self._back.remove(due)
            self._start(due[1])
        for mending in [one for one in self._mendings if one[0] <= now]:
            self._mendings.remove(mending)
            self._mend(mending[1])
        if self._kills and self._kills[0].at <= now:
            self._doom(self._kills[0])
        if self._cuts and self._cuts[0].at <= now:
            self._cut_one()
        if now - self._watched >= _WATCH_S:
            self._watched = now
            self._watch()

    def _watch(self) -> None:
        doomed = [doom.actor for doom in self._dooms]
        for actor in self._actors:
            actor.watch()
            if actor.status is not None and actor not in doomed:
                self._faults.append(f"{actor.name} exited unexpectedly, with status {actor.status}")
            if actor.most_memory > self._plan.most_memory:
                self._faults.append(f"{actor.name} uses {actor.most_memory / MIB:.0f} MiB of memory")
        self._report(self._progress())

    def _start(self, actor: Actor) -> None:
        self._events.add(STARTED, actor.name, actor.start())

    def _doom(self, kill: Kill) -> None:
        doomed = [doom.actor for doom in self._dooms]
        running = [actor for actor in self._actors if actor.runs and actor not in doomed]
        if not running:
            return  # try again in the next step
        self._kills.popleft()
        actor = running[int(kill.choice * len(running))]
        if kill.sharp:
            actor.send("die")
        self._dooms.append(_Doom(actor, self._now() + kill.sharp * _WORST_S, kill.back_s))

    def _fulfil(self, doom: _Doom) -> None:
        self._dooms.remove(doom)
        status = doom.actor.kill()
        if status != -signal.SIGKILL:
            self._faults.append(f"{doom.actor.name} exited unexpectedly, with status {status}")
            return
        self._events.add(KILLED, doom.actor.name)
        self._killed[doom.actor.role] += 1
        self._back.append((self._now() + doom.back_s, doom.actor))

    def _cut_one(self) -> None:
        broken = [place for _, place in self._mendings]
        whole = [place for place in self._places if place.cable is not None and place not in broken]
        if not whole:
            return
        cut = self._cuts.popleft()
        place = whole[int(cut.choice * len(whole))]
        assert place.cable is not None
        place.cable.cut(cut.way)
        self._events.add(CUT, place.name, cut.way, cut.lasts_s)
        self._cut += 1
        self._mendings.append((self._now() + cut.lasts_s, place))

    def _mend(self, place: Place) -> None:
        assert place.cable is not None
        place.cable.mend()
        self._events.add(MENDED, place.name)

    # --- what came of it

    def _judged(self, sending_s: float, seconds: float) -> Outcome:
        cast = self._cast
        outcome = Outcome(self._plan, faults=self._faults, kills=self._killed, cuts=self._cut)
        outcome.sending_s, outcome.seconds = sending_s, seconds
        outcome.verdicts["streams"] = judge(
            _records(cast.producers), {group: _records(actors) for group, actors in cast.consumers.items()}
        )
        if cast.relays:
            outcome.verdicts["relay"] = judge(_records(cast.senders), {LISTENERS: _records(cast.listeners)})
        for verdict in outcome.verdicts.values():
            outcome.faults += verdict.faults
        for actor in cast.with_store:
            outcome.faults += look_at_store(actor.options.store)
        for actor in self._actors:
            outcome.faults += look_at_output(actor.output)
            outcome.memory[actor.role] = max(outcome.memory.get(actor.role, 0), actor.most_memory)
        return outcome


def _records(actors: Sequence[Actor]) -> dict[str, Iterator[Record]]:
    return {actor.name: read_records(actor.options.records) for actor in actors}
