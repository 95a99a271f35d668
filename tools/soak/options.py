"""The options that the supervisor of a soak passes to a process, and the paths of its files."""

import dataclasses
from pathlib import Path

TOPIC = "soak"
"""The topic of the streams."""
NAME = "soak.named"
"""The name of the messages that go through the relay."""
MAX_DELIVER = 1000
"""High, because the default would turn a message into a dead letter after two kills of its consumer.

That would not be a loss, but in a soak every message must be handled in the end.
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a process.

    Attributes:
        role: a key of `tools.soak.roles.ROLES`.
        name: the name of the process, its files and its node.
        life: how often it was started before.
        folder: the folder for its files.
        seed: the seed of its random choices.
        number: its number among the processes of its role.
        group: a consumer's group.
        groups: the groups that a producer declares.
        rate: the average number of messages per second of a producer or sender.
        max_messages: the capacity of a producer's or relay's stream.
        relay: the relay's address, if the process uses it.
        pub_port: the relay's port that delivers messages.
        recv_port: the relay's port that accepts messages.
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
