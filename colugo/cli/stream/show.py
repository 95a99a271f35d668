"""The command `colugo stream show`."""

import base64
import json

import click
import msgspec
from rich.text import Text

from colugo.cli.network.options import json_option
from colugo.cli.network.output import clean, print_json, screen
from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import LetterFilters, filters
from colugo.cli.stream.location import EXIT_STATUS, StreamLocation, location_options, print_error, run
from colugo.cli.stream.paging import letters, messages, whole
from colugo.cli.stream.tables import amount, as_data, print_messages, when
from colugo.diagnosis.number_formats import count
from colugo.errors import ConfigurationError, DecodeError
from colugo.messenger.named_message import from_bytes
from colugo.protocol.description.stream_answers import Whole, as_text
from colugo.protocol.streams.stream_message import split_id

_MOST_GROUPS = 1000
_SHOWN_BYTES = 4096


@click.command(
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo stream show orders
  colugo stream show orders 2f6b4c1d9e8a7035-17
  colugo stream show orders 2f6b4c1d9e8a7035-17 --payload > message.bin
  colugo stream show --store orders.db --limit 1000 --json
"""
)
@click.argument("words", nargs=-1, metavar="[TOPIC] [ID]")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Messages to list per stream."
)
@click.option("--after", metavar="ID", help="List only messages after this one.")
@click.option("--payload", "alone", is_flag=True, help="Write only the payload of the message, unchanged.")
@location_options
@json_option
def show(
    *,
    words: tuple[str, ...],
    limit: int,
    after: str | None,
    alone: bool,
    location: StreamLocation,
    as_json: bool,
) -> None:
    """List the messages in a stream, or show one completely.

    A stream keeps a message until all groups have acknowledged it. ID may also be that of a dead letter,
    which is shown with its traceback.
    """
    topic, rest = location.topic(words, 1)
    try:
        wanted = LetterFilters(tuple(rest))
    except ConfigurationError as error:
        raise location.usage_error(str(error)) from error
    if after is not None:
        filters((after,), None, None)
    if alone and not rest:
        raise click.UsageError("--payload needs the ID of a message")

    async def work(access: Access, found: list[Found]) -> int:
        if rest:
            return await _show_one(access, found, wanted, alone=alone, as_json=as_json)
        return await _show_page(access, found, after, limit, as_json=as_json)

    run(location, topic, work)


async def _show_page(
    access: Access, found: list[Found], after: str | None, limit: int, *, as_json: bool
) -> int:
    if after is not None:
        found = [one for one in found if split_id(after)[0] == one.stream.stream_id]
        if not found:
            print_error(f"no stream found has ever had a message with id {after}")
            return 1
    data = []
    for one in found:
        page = [message async for message in messages(access, one, after, limit)]
        data += [as_data(one, message) for message in page]
        if as_json:
            continue
        click.echo(clean(f"{one.name} keeps {count(one.stream.messages, 'message')}."))
        if page:
            print_messages(page)
        if len(page) == limit:
            click.echo(f"For more, use --after {page[-1].id}, or a larger --limit.")
    if as_json:
        print_json(data)
    return 0


async def _show_one(
    access: Access, found: list[Found], wanted: LetterFilters, *, alone: bool, as_json: bool
) -> int:
    (message_id,) = wanted.ids
    shown = []
    for one in found:
        if wanted.of(one) is None:
            continue
        groups: list[str | None] = [None]
        groups += [letter.group async for letter in letters(access, one, wanted, _MOST_GROUPS)]
        for group in groups:
            answer = await whole(access, one, message_id, group)
            if answer is not None:
                message, payload = answer
                shown.append((one, message, payload))
    if not shown:
        print_error(f"no stream found has a message or dead letter with id {message_id}")
        return 1
    if alone:
        click.echo(shown[0][2], nl=False)
    elif as_json:
        print_json([_data(*each) for each in shown])
    else:
        for number, each in enumerate(shown):
            if number:
                click.echo()
            _print(*each)
    return 0


def _data(found: Found, message: Whole, payload: bytes) -> dict[str, object]:
    data = as_data(found, message)
    for name in ("preview", "text", "offset", "base64"):
        data.pop(name)
    text = as_text(payload)
    if text is not None:
        return {**data, "payload": text}
    return {**data, "base64": base64.b64encode(payload).decode()}


def _print(found: Found, message: Whole, payload: bytes) -> None:
    facts = {
        "id": message.id,
        "stream": found.name,
        "key": message.key,
        "headers": json.dumps(message.headers, ensure_ascii=False) if message.headers else "",
        "sent": when(message.sent_ns),
        "for" if not message.dead else "group": message.group,
    }
    if message.dead:
        facts |= {
            "died": f"{when(message.died_ns)}, after {count(message.attempts, 'attempt')}",
            "reason": message.reason,
        }
    enveloped = _open_envelope(payload)
    if enveloped is not None:
        more, payload = enveloped
        facts |= more
    out = screen()
    for name, value in facts.items():
        if value:
            out.print(Text(f"{name:8} ", style="bold").append(clean(value), style="not bold"), soft_wrap=True)
    if message.traceback:
        click.echo()
        click.echo("\n".join(map(clean, message.traceback.splitlines())))
    click.echo()
    text = as_text(payload)
    if text is not None:
        click.echo("\n".join(map(clean, text.splitlines())))
        return
    which = "them unchanged" if enveloped is None else "the whole message"
    click.echo(f"{amount(len(payload))} of binary data; --payload writes {which}:")
    for offset in range(0, min(len(payload), _SHOWN_BYTES), 16):
        line = payload[offset : offset + 16]
        signs = "".join(chr(one) if 32 <= one < 127 else "." for one in line)  # noqa: PLR2004 - ASCII's
        click.echo(f"{offset:08x}  {line.hex(' '):47}  {signs}")
    if len(payload) > _SHOWN_BYTES:
        click.echo("…")


def _open_envelope(payload: bytes) -> tuple[dict[str, str], bytes] | None:
    """Open the envelope of a messenger's message; return None for any other message.

    Returns:
        The fields of the envelope and the payload inside: the `repr` of msgpack data, the raw bytes of any
        other codec. Only msgpack is decoded, because `"pickle"` would let the sender run code.
    """
    try:
        envelope = from_bytes(payload)
    except DecodeError:
        return None
    facts = {"name": envelope.name, "codec": envelope.codec}
    if envelope.codec != "msgpack":
        return facts, envelope.payload
    try:
        return facts, repr(msgspec.msgpack.decode(envelope.payload)).encode(errors="backslashreplace")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return facts, envelope.payload
