"""Messages of one key in a consumer group: one member at a time has some, and the others wait in line."""

from collections import deque

from colugo.protocol.streams.attempts import GroupMember, KeyLine, QueuedMessage, number_of
from colugo.protocol.streams.transitions import DeliveryState

_READY = DeliveryState.READY


class KeyOrder:
    """The lines of all keys of which a message is handed out or waits for others."""

    def __init__(self) -> None:
        self._lines: dict[str, KeyLine] = {}
        self._woken: dict[KeyLine, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def woken(self) -> bool:
        """Whether there are lines that may go on."""
        return bool(self._woken)

    def may_go(self, entry: QueuedMessage, member: GroupMember) -> bool:
        """Whether a message can go to a member, which then has it; else it waits in line."""
        key = entry.message.key
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = KeyLine(key, member, 1)
            return True
        if line.member is member and line.in_flight and not (line.waiting or line.suspects):
            line.in_flight += 1
            return True
        line.waiting.append(entry)
        self._woken[line] = None
        return False

    def may_go_alone(self, key: str) -> bool:
        """Whether nobody has a message of a key."""
        line = self._lines.get(key)
        return line is None or not line.in_flight

    def suspect(self, key: str) -> None:
        """A message has become suspect, and waits to be handed out by itself."""
        self._lines.setdefault(key, KeyLine(key)).suspects += 1

    def give_suspect(self, key: str, member: GroupMember) -> None:
        """A suspect that waited is handed to a member."""
        line = self._lines[key]
        line.member = member
        line.suspects -= 1
        line.in_flight += 1

    def drop_suspect(self, key: str) -> None:
        """A suspect that waited is finished."""
        line = self._lines[key]
        line.suspects -= 1
        self._look_at(line)

    def leave(self, key: str) -> None:
        """The member no longer has a message of a key that it had."""
        line = self._lines[key]
        line.in_flight -= 1
        self._look_at(line)

    def put_back(self, key: str, entries: list[QueuedMessage]) -> bool:
        """Let messages of a key wait among the others of it, in the order of their numbers.

        Returns:
            Whether there are others; if not, those that are given are not taken.
        """
        line = self._lines.get(key)
        if line is None:
            return False
        line.waiting = deque(sorted([*entries, *line.waiting], key=number_of))
        self._woken[line] = None
        return True

    def wake(self, member: GroupMember) -> None:
        """A member may have room again."""
        if member.blocked:
            self._woken.update(member.blocked)
            member.blocked.clear()

    def take_woken(self) -> list[KeyLine]:
        """The lines that may go on; those that cannot are to be given back by `wait`."""
        woken, self._woken = self._woken, {}
        return [line for line in woken if not (line.suspects or self._look_at_empty(line))]

    def wait(self, line: KeyLine) -> None:
        """A line can go on as soon as anybody has room."""
        self._woken[line] = None

    def sweep(self) -> None:
        """Let go of messages that need not be handed out any more."""
        for line in list(self._lines.values()):
            line.waiting = deque(entry for entry in line.waiting if entry.state is _READY)
            self._look_at_empty(line)

    def _look_at(self, line: KeyLine) -> None:
        """Something of it is over: let it go on, or forget it."""
        if not (line.in_flight or line.suspects or self._look_at_empty(line)):
            self._woken[line] = None

    def _look_at_empty(self, line: KeyLine) -> bool:
        """Whether nobody waits in it; if nobody has a message of it, either, it is over."""
        waiting = line.waiting
        while waiting and waiting[0].state is not _READY:
            waiting.popleft()
        if waiting:
            return False
        if not (line.in_flight or line.suspects) and self._lines.get(line.key) is line:
            del self._lines[line.key]
            self._woken.pop(line, None)
        return True
