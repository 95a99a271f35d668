"""cyclonedds, measured: reliable and keeping all, with a thread that reads."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cyclonedds.core import InstanceState, Policy, Qos, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import sequence, uint8
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from tools.bench.peers.base import OnMessage
from tools.bench.peers.network import Network
from tools.bench.peers.pacing import pace

# Loopback only, without multicast; fragments as large as UDP allows, which suits loopback best.
_SETTINGS = """\
<CycloneDDS><Domain>
  <General>
    <Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>
    <AllowMulticast>false</AllowMulticast>
    <MaxMessageSize>65500B</MaxMessageSize>
    <FragmentSize>65000B</FragmentSize>
  </General>
  <Discovery>
    <Peers><Peer address="127.0.0.1"/></Peers>
    <ParticipantIndex>auto</ParticipantIndex>
    <MaxAutoParticipantIndex>20</MaxAutoParticipantIndex>
  </Discovery>
</Domain></CycloneDDS>
"""
_DOMAINS = 200
_BATCH = 100
_BLOCK_S = 30
_WAIT_S = 0.5
_QOS = Qos(Policy.Reliability.Reliable(duration(seconds=_BLOCK_S)), Policy.History.KeepAll)


@dataclass
class Message(IdlStruct):
    """A message: the DDS type for a sequence of bytes."""

    data: sequence[uint8]


class _Publisher:
    def __init__(self, participant: DomainParticipant, topic: Topic[Message]) -> None:
        self._writer = DataWriter(participant, topic, qos=_QOS)

    def send_all(self, message: bytes, count: int) -> None:
        write, sample = self._writer.write, Message(message)
        for _ in range(count):
            write(sample)

    def pace(self, make: Callable[[], bytes], ticks: int, per_tick: int) -> None:
        pace(lambda message: self._writer.write(Message(message)), make, ticks, per_tick)

    def close(self) -> None:
        """Nothing: the peer's end is its end."""


class _Receiver:
    def __init__(self, participant: DomainParticipant, topic: Topic[Message], on_message: OnMessage) -> None:
        self._on_message = on_message
        self._closed = False
        self._reader = DataReader(participant, topic, qos=_QOS)
        condition = ReadCondition(self._reader, SampleState.Any | ViewState.Any | InstanceState.Any)
        self._waits = WaitSet(participant)
        self._waits.attach(condition)
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._thread.join()

    def _run(self) -> None:
        on_message, take = self._on_message, self._reader.take
        while not self._closed:
            self._waits.wait(duration(seconds=_WAIT_S))
            while samples := take(_BATCH):
                for sample in samples:
                    on_message(bytes(sample.data))


class Peer:
    """A participant of a domain that the number of the network gives."""

    def __init__(self, network: Network) -> None:
        os.environ["CYCLONEDDS_URI"] = _SETTINGS
        self._participant = DomainParticipant(network.port % _DOMAINS)
        self._receivers: list[_Receiver] = []

    def publisher(self, topic: str) -> _Publisher:
        """Add a writer."""
        return _Publisher(self._participant, self._topic(topic))

    def subscriber(self, topic: str, on_message: OnMessage) -> _Receiver:
        """Add a reader."""
        receiver = _Receiver(self._participant, self._topic(topic), on_message)
        self._receivers.append(receiver)
        return receiver

    def start(self) -> None:
        """Nothing: a participant takes part from its making on."""

    def close(self) -> None:
        """End the reading; the end of the process does the rest."""
        for receiver in self._receivers:
            receiver.close()

    def _topic(self, name: str) -> Topic[Message]:
        return Topic(self._participant, name, Message, qos=_QOS)
