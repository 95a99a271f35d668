"""What the supervisor of a soak tells a process, and where its files are."""

import dataclasses
from pathlib import Path

TOPIC = "soak"
"""Of the streams."""
NAME = "soak.named"
"""Of the messages that go by the relay."""
MAX_DELIVER = 1000
"""A kill may make a dead letter of a message that its consumer had alone, after the second time by default.

That is what `max_deliver` promises, and no loss. Here so many are killed that some messages meet it; they
are to be handled in the end all the same.
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a process is to do.

    Attributes:
        role: a key of `tools.soak.roles.ROLES`.
        name: of the process: its files and its node are called so.
        life: how often it was started before.
        folder: for its files.
        seed: for what it does at random.
        number: among those of its kind.
        group: of a consumer.
        groups: that a producer declares.
        rate: how many messages a producer or sender sends in a second, on the average.
        max_messages: how many a producer's or relay's stream holds.
        relay: address of the relay; of those that have to do with it.
        pub_port: its port for what it hands out.
        recv_port: its port for what it takes.
    """

    role: str
    name: str
    life: int
    folder: str
    seed: int
    number: int = 0
    group: str = ""
    groups: list[str] = dataclasses.field(default_factory=list)
    rate: float = 0.0
    max_messages: int = 0
    relay: str = ""
    pub_port: int = 0
    recv_port: int = 0

    @property
    def store(self) -> Path:
        """The file of a producer's or relay's stream."""
        return Path(self.folder) / f"{self.name}.store"

    @property
    def records(self) -> Path:
        """The file of its records."""
        return Path(self.folder) / f"{self.name}.records"
