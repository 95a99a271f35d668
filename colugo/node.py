"""The node: a loop, an identity, and sockets."""

import logging
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, Concatenate, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from colugo.config import NodeConfig
from colugo.errors import DuplicateTopicError
from colugo.introspection.describe import describe
from colugo.introspection.stream_questions import StreamQuestions
from colugo.lifecycle import A, Lifecycle
from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import Directory
from colugo.net.runtime import Runtime
from colugo.net.transport.sockets import DEFAULT_MAX_MESSAGE_BYTES
from colugo.patterns.pubsub.publisher import (
    DEFAULT_HWM,
    DEFAULT_MAX_BYTES,
    DEFAULT_STALL_MS,
    FlowPolicy,
    Publisher,
)
from colugo.patterns.pubsub.subscriber import DEFAULT_QUEUE, Subscriber
from colugo.patterns.requests.reply_server import ReplyServer
from colugo.patterns.requests.request_client import RequestClient
from colugo.patterns.requests.request_sender import Balance
from colugo.patterns.requests.respondent import Respondent
from colugo.patterns.requests.surveyor import Surveyor
from colugo.patterns.streams.consuming.consumer import DEFAULT_PREFETCH, Consumer
from colugo.patterns.streams.intake import FullPolicy
from colugo.patterns.streams.retention import AckPolicy
from colugo.patterns.streams.stream import (
    DEFAULT_ACK_TIMEOUT_MS,
    DEFAULT_MAX_DELIVER,
    DEFAULT_MAX_MESSAGES,
    DEFAULT_RETRY_DELAY_MS,
    DEFAULT_STREAM_BYTES,
    Durability,
    Stream,
)
from colugo.patterns.timers.delayed import DelayedCallback
from colugo.patterns.timers.repeater import Repeater
from colugo.protocol.advertisement import Advertisement, check_name
from colugo.protocol.description.node_description import DESCRIBE, to_plain
from colugo.protocol.streams.joining import StreamOrder

B = TypeVar("B", Publisher, ReplyServer, Stream)


class Node(Lifecycle):
    """A participant, which discovers others on the network and exchanges messages with them.

    Subclass it or use it as it is. You can run it in three ways: `start()` blocks until `stop()`, SIGINT or
    SIGTERM; `async with Node("x") as node:` runs it on the current loop; `with Node("x").running() as node:`
    runs it on its own thread.

    Args:
        name: the name that others see; 1 to 63 bytes. Names need not be unique.
        realm: the realm; only nodes of one realm connect. None for the environment variable `COLUGO_REALM`,
            or `"default"` without it.
        scope: `"host"`, `"lan"`, or interface names and addresses separated by commas. None for
            `COLUGO_SCOPE`, or `"lan"` without it.
        directory: a directory to advertise and discover in, instead of mDNS and peers.
        max_message_bytes: the size limit of a message; larger ones are neither sent nor received (64 MiB).
        ipc: True to use Unix sockets instead of tcp between nodes of one user on one host (Linux). None for
            `COLUGO_IPC`, `0` or `1`, or True without it.
        port: the TCP port of the node's own endpoint, for links of other nodes and questions of tools; if it
            is in use, the start raises BindError. None for `COLUGO_PORT`, or a free one without it. The first
            program of a host gets the port of `COLUGO_PORT`, the others get free ones.
        peers: endpoints of other nodes, such as `["192.0.2.7:4711"]`, for networks without multicast; a peer
            passes on all nodes that it knows. None for `COLUGO_PEERS`, separated by commas.
        mdns: True to use mDNS. None for `COLUGO_MDNS`, `0` or `1`, or True without it.

    Raises:
        ConfigurationError: if a value cannot work.
    """

    def __init__(
        self,
        name: str,
        *,
        realm: str | None = None,
        scope: str | None = None,
        directory: Directory | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        ipc: bool | None = None,
        port: int | None = None,
        peers: Iterable[str] | None = None,
        mdns: bool | None = None,
    ) -> None:
        config = NodeConfig.resolve(
            realm=realm,
            scope=scope,
            directory=directory,
            max_message_bytes=max_message_bytes,
            ipc=ipc,
            port=port,
            peers=peers,
            mdns=mdns,
        )
        super().__init__(check_name(name), config)
        runtime = self._runtime
        questions = runtime.endpoint.questions
        questions.serve(DESCRIBE, lambda _: to_plain(describe(runtime)))
        for question, answer in StreamQuestions(runtime.parts.keys()).handlers.items():
            questions.serve(question, answer)
        # weak, because only an open one counts
        self._bound: WeakValueDictionary[tuple[str, str], Publisher | ReplyServer | Stream] = (
            WeakValueDictionary()
        )

    @property
    def name(self) -> str:
        """The node's name."""
        return self._runtime.name

    @property
    def uuid(self) -> UUID:
        """The node's identity, new each time a node is made."""
        return self._runtime.uuid

    @property
    def realm(self) -> str:
        """The node's realm."""
        return self._runtime.realm

    @property
    def scope(self) -> Scope:
        """The addresses that the node uses."""
        return self._runtime.scope

    @property
    def max_message_bytes(self) -> int:
        """The size limit of a message: larger ones are neither sent nor received."""
        return self._runtime.sockets.max_message_bytes

    @property
    def logger(self) -> logging.Logger:
        """The logger of the node's name."""
        return self._runtime.logger

    @property
    def callback_errors(self) -> int:
        """The number of callbacks and spawned tasks that have raised; the log has their tracebacks."""
        return self._runtime.callback_errors

    @property
    def advertisements(self) -> list[Advertisement]:
        """The known sockets of this realm, including this node's own."""
        return self._runtime.registry.known

    @property
    def nodes(self) -> list[Advertisement]:
        """The own endpoints of the known nodes of this realm, including this one."""
        return self._runtime.registry.nodes

    # --- sockets

    def add_publisher(
        self,
        topic: str,
        *,
        codec: Any = None,
        framing: str = "colugo",
        port: int | None = None,
        retain: int = 0,
        hwm: int = DEFAULT_HWM,
        max_bytes: int = DEFAULT_MAX_BYTES,
        flow: FlowPolicy = "drop",
        stall_ms: int = DEFAULT_STALL_MS,
        conflate: bool = False,
    ) -> Publisher:
        """Add a publisher.

        Args:
            topic: letters, digits, `.`, `/`, `-`, `_`; at most 200 bytes.
            codec: None for str and bytes unchanged, `"json"`, `"msgpack"`, `"cbor"`, `"pickle"`, a
                protobuf message class, a `msgspec.Struct`, a dataclass, or a `Codec` of your own.
            framing: `"colugo"`, or `"raw"` for one plain frame for each message, which any ZeroMQ SUB socket
                can read.
            port: the TCP port; None for a free one.
            retain: the number of last messages that late joiners receive.
            hwm: the high-water mark: the most messages that may wait for one subscriber, in all queues.
            max_bytes: the same in bytes of payloads.
            flow: the behaviour beyond these marks. `"drop"`: that subscriber is skipped until it has caught
                up, and counts the messages that it loses. `"wait"`: backpressure; `send_wait` waits for it.
            stall_ms: with `flow="wait"`, the milliseconds that a subscriber may handle nothing before it is
                waited for no longer.
            conflate: True to keep only the newest message, instead of `hwm`, for a subscriber that does not
                keep up.

        Raises:
            TopicError: if the topic breaks the rules.
            DuplicateTopicError: if this node has a publisher of the topic.
            BindError: if the port cannot be had.
            ConfigurationError: if an option cannot work, or two cannot work together.
            ClosedError: after the node has stopped.
        """
        return self._add_only(
            "publisher",
            Publisher,
            topic,
            codec=codec,
            framing=framing,
            port=port,
            retain=retain,
            hwm=hwm,
            max_bytes=max_bytes,
            flow=flow,
            stall_ms=stall_ms,
            conflate=conflate,
        )

    def add_subscriber(
        self,
        topic: str,
        callback: Callable[..., Any] | None = None,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        on_loss: Callable[..., Any] | None = None,
        queue: int = DEFAULT_QUEUE,
        batch: bool = False,
        executor: bool = False,
        copy: bool = True,
        connect: Iterable[str] = (),
    ) -> Subscriber:
        """Add a subscriber, which connects to every publisher of the topic.

        Args:
            topic: a topic, or a pattern of words separated by `.`, where `*` is one word and `#` any
                number (RabbitMQ's rules).
            callback: `callback(message)` or `callback(message, info)`, plain or coroutine; a coroutine
                function handles one message at a time. None to iterate over the subscriber.
            on_connect: `on_connect()` or `on_connect(peer)`, when a publisher is connected, whose messages
                arrive from then on.
            codec: the publisher's codec.
            on_disconnect: `on_disconnect()`, `(peer)` or `(peer, reason)`; the reason is `"lost"` or
                `"withdrawn"`.
            on_error: `on_error(error)` or `on_error(error, info)` for a message that does not decode.
            on_loss: `on_loss()`, `(info)` or `(info, n)`, when n messages of one publisher are lost; `info`
                has the publisher, and the number of the first.
            queue: the most messages that wait for a coroutine callback, a thread or the iteration. Beyond
                that, the oldest are dropped and counted; those of a `flow="wait"` publisher wait there.
            batch: True to call back with lists of the messages that arrived together; `info` is that of the
                first.
            executor: True to run a plain callback on its own thread, one message at a time, so that it does
                not block the loop.
            copy: False to get memoryviews instead of bytes; those over 32 KiB are not copied.
            connect: endpoints of plain ZeroMQ publishers, such as `["tcp://192.0.2.7:5556"]`.

        Raises:
            TopicError: if the topic or pattern breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._adopt(
            Subscriber,
            topic,
            callback,
            on_connect,
            codec=codec,
            on_disconnect=on_disconnect,
            on_error=on_error,
            on_loss=on_loss,
            queue=queue,
            batch=batch,
            executor=executor,
            copy=copy,
            connect=connect,
        )

    def add_reply_server(
        self, topic: str, callback: Callable[..., Any], *, codec: Any = None, port: int | None = None
    ) -> ReplyServer:
        """Add a reply server.

        Args:
            topic: as a publisher's.
            callback: `callback(message, reply)`, which calls `reply(answer)` once, at any time, from any
                thread; or `callback(message)`, whose return value is the reply. Plain or coroutine;
                coroutines run concurrently. The client gets an exception as `RemoteError`.
            codec: the codec of requests and replies.
            port: the TCP port; None for a free one.

        Raises:
            TopicError: if the topic breaks the rules.
            DuplicateTopicError: if this node has a reply server of the topic.
            BindError: if the port cannot be had.
            ClosedError: after the node has stopped.
        """
        return self._add_only("reply server", ReplyServer, topic, callback, codec=codec, port=port)

    def add_request_client(
        self,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        balance: Balance = "round-robin",
        connect: Iterable[str] = (),
    ) -> RequestClient:
        """Add a request client, which connects to every reply server of the topic.

        Args:
            topic: as a publisher's.
            on_connect: `on_connect()` or `on_connect(peer)`, when a server can take requests.
            codec: the codec of requests and replies.
            on_disconnect: `on_disconnect()`, `(peer)` or `(peer, reason)`; the reason is `"lost"` or
                `"withdrawn"`.
            balance: the choice of the server of each request: `"round-robin"`, or `"least-outstanding"`.
            connect: endpoints of plain ZeroMQ servers, such as `["tcp://192.0.2.7:5557"]`.

        Raises:
            TopicError: if the topic breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._adopt(
            RequestClient,
            topic,
            on_connect,
            codec=codec,
            on_disconnect=on_disconnect,
            balance=balance,
            connect=connect,
        )

    def add_respondent(
        self, topic: str, callback: Callable[..., Any], *, codec: Any = None, port: int | None = None
    ) -> Respondent:
        """Add a respondent, which answers the surveys of a topic. A node may have several of one topic.

        Args:
            topic: as a publisher's.
            callback: as a reply server's; it may also `raise Decline()`, or call `reply.decline()`, to take
                no part in a survey. None is an answer.
            codec: the codec of surveys and answers.
            port: the TCP port; None for a free one.

        Raises:
            TopicError: if the topic breaks the rules.
            BindError: if the port cannot be had.
            ClosedError: after the node has stopped.
        """
        return self._adopt(Respondent, topic, callback, codec=codec, port=port)

    def add_surveyor(
        self,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        own: bool = True,
    ) -> Surveyor:
        """Add a surveyor, which asks all respondents of a topic and collects their answers.

        Args:
            topic: as a publisher's.
            on_connect: `on_connect()` or `on_connect(peer)`, when a respondent can be asked.
            codec: the codec of surveys and answers.
            on_disconnect: `on_disconnect()`, `(peer)` or `(peer, reason)`; the reason is `"lost"` or
                `"withdrawn"`.
            own: True to ask respondents of this node, too.

        Raises:
            TopicError: if the topic breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._adopt(Surveyor, topic, on_connect, codec=codec, on_disconnect=on_disconnect, own=own)

    def add_stream(
        self,
        topic: str,
        *,
        store: str | PathLike[str] | None = None,
        durability: Durability = "full",
        ack: AckPolicy = "all",
        groups: Iterable[str] = (),
        codec: Any = None,
        max_messages: int = DEFAULT_MAX_MESSAGES,
        max_bytes: int = DEFAULT_STREAM_BYTES,
        max_age_ms: int | None = None,
        full: FullPolicy = "reject",
        order: StreamOrder = "key",
        max_deliver: int = DEFAULT_MAX_DELIVER,
        ack_timeout_ms: int = DEFAULT_ACK_TIMEOUT_MS,
        retry_delay_ms: int = DEFAULT_RETRY_DELAY_MS,
        unrouted_ms: float = 0,
        on_unrouted: Callable[..., Any] | None = None,
        port: int | None = None,
    ) -> Stream:
        """Add a stream, which keeps messages until consumers have acknowledged them.

        Args:
            topic: as a publisher's.
            store: the path of a file (SQLite) for the messages, which survive the program there; one stream
                uses it at a time. None to keep them in memory.
            durability: `"full"`: messages that `send_wait` has confirmed survive a power failure (SQLite,
                `synchronous=FULL`). `"os"`: they survive a crash of the program only (`synchronous=NORMAL`);
                faster.
            ack: `"all"`: a message is removed when each known group has acknowledged it. `"any"`: when one
                consumer has.
            groups: groups that messages are kept for from the beginning. Others are known from the first
                time that one of their consumers connects, here or to another stream of the topic.
            codec: as a publisher's.
            max_messages: the limit of messages, including dead letters.
            max_bytes: the limit of their bytes (1 GiB).
            max_age_ms: the milliseconds that a message is kept; None for no limit.
            full: the behaviour at a limit. `"reject"`: `send` and `send_wait` raise StreamFullError;
                `"wait"`: `send` raises it, and `send_wait` waits for room; `"drop-oldest"`: the oldest
                message is dropped and counted.
            order: `"key"`: a group handles messages of one key in order, one at a time. `"none"`: keys only
                select groups, and messages go to any member with room, whatever their key.
            max_deliver: the number of tries of a message in a group before it becomes a dead letter.
            ack_timeout_ms: the milliseconds without an acknowledgement after which a try has failed.
            retry_delay_ms: the milliseconds from a failure to the next try; doubled for each further one, up
                to a minute. The messages of a lost consumer are redelivered at once.
            unrouted_ms: the milliseconds from the start in which the stream deletes no message, so that
                groups that become known meanwhile receive all. Then, messages that no known group has a
                binding for are returned, later ones as soon as they are stored. 0 for no such time.
            on_unrouted: `on_unrouted(message)`, plain or coroutine, called with each returned message, a
                `KeptMessage`, before it is deleted. None, with `unrouted_ms=0`, to delete such messages when
                all groups have compared them with their bindings, and to keep all while no group is known.
            port: the TCP port; None for a free one.

        Raises:
            TopicError: if the topic breaks the rules.
            DuplicateTopicError: if this node has a stream of the topic.
            StoreError: if the store is damaged, read-only, or in use by another stream.
            BindError: if the port cannot be had.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._add_only(
            "stream",
            Stream,
            topic,
            store=store,
            durability=durability,
            ack=ack,
            groups=groups,
            codec=codec,
            max_messages=max_messages,
            max_bytes=max_bytes,
            max_age_ms=max_age_ms,
            full=full,
            order=order,
            max_deliver=max_deliver,
            ack_timeout_ms=ack_timeout_ms,
            retry_delay_ms=retry_delay_ms,
            unrouted_ms=unrouted_ms,
            on_unrouted=on_unrouted,
            port=port,
        )

    def add_consumer(
        self,
        topic: str,
        callback: Callable[..., Any],
        *,
        group: str | None = None,
        bindings: Iterable[str] = ("#",),
        prefetch: int = DEFAULT_PREFETCH,
        durable: bool = True,
        codec: Any = None,
        auto_ack: bool = True,
        concurrency: int = 1,
        executor: bool = False,
        paused: bool = False,
        connect: Iterable[str] = (),
    ) -> Consumer:
        """Add a consumer, which receives the messages of all streams of a topic.

        Args:
            topic: a topic, or a pattern of topics as a subscriber's.
            callback: `callback(message)` or `callback(message, delivery)`, plain or coroutine. Returning
                acknowledges the message; after an exception it is redelivered, to this consumer or another
                one of the group, until it has used its tries.
            group: the consumer group; each message goes to one of its members. None for a group of its own,
                which no other consumer can join, and which is not remembered.
            bindings: patterns of keys by RabbitMQ's rules: words separated by `.`, `*` for one word, `#` for
                any number; `exact(key)` for a key that contains these signs. The group has one set of
                bindings; the last consumer that joins sets it.
            prefetch: the most messages that this consumer has at a time without having acknowledged them.
            durable: True to remember the group once it has joined: messages that are sent while it has no
                members wait for them.
            codec: the stream's codec.
            auto_ack: False if the callback itself calls `delivery.ack()`, `nack()` or `reject()`, now or
                later.
            concurrency: the number of messages that a coroutine function, or the threads of `executor`,
                handle at the same time; messages of one key are handled one at a time.
            executor: True to run a plain function on its own threads, so that it does not block the loop.
            paused: True to join the group with its bindings, but take no messages before `consumer.resume()`.
            connect: endpoints of streams that are not discovered, such as `["tcp://192.0.2.7:5558"]`.

        Raises:
            TopicError: if the topic or pattern breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._adopt(
            Consumer,
            topic,
            callback,
            group=group,
            bindings=bindings,
            prefetch=prefetch,
            durable=durable,
            codec=codec,
            auto_ack=auto_ack,
            concurrency=concurrency,
            executor=executor,
            paused=paused,
            connect=connect,
        )

    def add_repeater(self, delay_ms: float, callback: Callable[..., Any]) -> Repeater:
        """Call back at a fixed rate, first after one delay; missed ticks are skipped and counted.

        Args:
            delay_ms: milliseconds, at least 1.
            callback: a function without arguments; plain or coroutine.
        """
        return self._adopt(Repeater, delay_ms, callback)

    def add_delayed_callback(self, delay_ms: float, callback: Callable[..., Any]) -> DelayedCallback:
        """Call back once.

        Args:
            delay_ms: milliseconds from now, or from the start of the node if it does not run yet.
            callback: a function without arguments; plain or coroutine.
        """
        return self._adopt(DelayedCallback, delay_ms, callback)

    def _add_only(
        self,
        kind: str,
        make: Callable[Concatenate[Runtime, str, A], B],
        topic: str,
        *args: A.args,
        **options: A.kwargs,
    ) -> B:
        def make_only(
            runtime: Runtime,
        ) -> B:  # on the node's thread, so that no other adds the same meanwhile
            before = self._bound.get((kind, topic))
            if before is not None and not before.closed:
                raise DuplicateTopicError(f"the node {self.name!r} has a {kind} of {topic} already")
            part = self._bound[kind, topic] = make(runtime, topic, *args, **options)
            return part

        return self._adopt(make_only)
