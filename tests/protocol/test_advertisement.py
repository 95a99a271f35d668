"""Advertisements and their TXT records: they round-trip, and foreign ones are validated."""

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from colugo.errors import AdvertisementError, ConfigurationError
from colugo.protocol.advertisement import (
    DISCARD_PORT,
    Advertisement,
    Framing,
    SocketKind,
    check_name,
    check_realm,
    from_txt,
    instance_label,
    to_txt,
)
from tests.support.strategies import TOPIC_SIGNS, socket_ids
from tests.support.strategies import topics as any_topic

SENSOR = Advertisement(
    socket_id=b"\x00\x01\x02\x03\xfc\xfd\xfe\xff",
    kind=SocketKind.PUBLISHER,
    topic="lab.temperature",
    node="sensor",
    node_id=bytes(range(240, 256)),
    realm="default",
    codec="json",
    framing=Framing.COLUGO,
    host_id="0a1b2c3d",
    addresses=("127.0.0.1",),
    port=40000,
)
TXT: Mapping[str, str | None] = to_txt(SENSOR)

addresses = st.ip_addresses().filter(lambda address: not address.is_unspecified).map(str)
node_names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=15)
ports = st.integers(1, 65535).filter(lambda port: port != DISCARD_PORT)
advertisements = st.builds(
    Advertisement,
    socket_id=socket_ids,
    kind=st.sampled_from(SocketKind),
    topic=any_topic,
    node=node_names,
    node_id=st.binary(min_size=16, max_size=16),
    realm=st.text(TOPIC_SIGNS, min_size=1, max_size=24),
    codec=st.text(TOPIC_SIGNS + " ", max_size=32),
    framing=st.sampled_from(Framing),
    host_id=st.text("0123456789abcdef", min_size=8, max_size=8) | st.just(""),
    addresses=st.lists(addresses, max_size=3).map(tuple),
    port=ports,
)


def wire_bytes(txt: Mapping[str, str]) -> int:
    """Return the size of a TXT record (RFC 6763 §6.3): a length byte, key, equals sign and value each."""
    return sum(1 + len(key.encode()) + 1 + len(value.encode()) for key, value in txt.items())


# --- round trips and sizes


@given(advertisements)
@example(SENSOR)
def test_an_advertisement_comes_back_as_it_was(advertisement: Advertisement) -> None:
    assume(advertisement.node.isprintable())
    got = from_txt(to_txt(advertisement), advertisement.addresses, advertisement.port)
    assert got == advertisement


@given(advertisements)
def test_a_txt_record_is_under_400_bytes_and_no_entry_over_255(advertisement: Advertisement) -> None:
    txt = to_txt(advertisement)
    assert wire_bytes(txt) < 400
    assert all(wire_bytes({key: value}) <= 256 for key, value in txt.items())


@pytest.mark.parametrize("codec", ["c" * 300, "µ" * 32, "\N{BOOKS}" * 32], ids=["one byte", "two", "four"])
def test_the_longest_of_everything_still_fits_under_400_bytes(codec: str) -> None:
    longest = dataclasses.replace(
        SENSOR, topic="t" * 200, node="n" * 63, realm="r" * 24, codec=codec, framing=Framing.RAW
    )
    txt = to_txt(longest)
    assert wire_bytes(txt) < 400
    assert from_txt(txt, longest.addresses, longest.port) == dataclasses.replace(longest, codec=txt["c"])
    assert codec.startswith(txt["c"])
    assert txt["c"]


def test_colugos_own_framing_is_not_spelled_out() -> None:
    assert "f" not in to_txt(SENSOR)
    assert to_txt(dataclasses.replace(SENSOR, framing=Framing.RAW))["f"] == "raw"


@given(advertisements)
def test_an_instance_label_fits_into_dns_and_has_no_dots(advertisement: Advertisement) -> None:
    label = instance_label(advertisement)
    assert 1 <= len(label.encode()) <= 63
    assert not {".", "/"} & set(label)


@given(any_topic, socket_ids, socket_ids)
def test_sockets_of_one_topic_have_labels_of_their_own(topic: str, one: bytes, other: bytes) -> None:
    assume(one[:6] != other[:6])
    first = dataclasses.replace(SENSOR, topic=topic, socket_id=one)
    assert instance_label(first) != instance_label(dataclasses.replace(first, socket_id=other))


def test_endpoints_are_one_for_each_address_and_ipv6_has_brackets() -> None:
    both = dataclasses.replace(SENSOR, addresses=("192.0.2.7", "2001:db8::7"))
    assert both.endpoints == ["tcp://192.0.2.7:40000", "tcp://[2001:db8::7]:40000"]
    assert dataclasses.replace(SENSOR, addresses=()).endpoints == []


def test_an_advertisement_reads_as_a_sentence_would_name_it() -> None:
    assert str(SENSOR) == "publisher lab.temperature of sensor at tcp://127.0.0.1:40000"
    nameless = dataclasses.replace(SENSOR, topic="", node="", addresses=())
    assert str(nameless) == "publisher (plain ZeroMQ) of an unnamed peer"


# --- foreign records


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": None}, "version '', this is '2'"),
        ({"v": "1"}, "version '1', this is '2'"),
        ({"k": "pubs"}, "^unknown kind 'pubs'$"),
        ({"k": None}, "''"),
        ({"t": None}, "empty"),
        ({"t": "lab door"}, "letters, digits"),
        ({"t": "lab.*"}, "wildcards"),
        ({"t": "x" * 201}, "at most 200 bytes"),
        ({"n": None}, "node name"),
        ({"n": "a\nb"}, "node name"),
        ({"n": "n" * 64}, "node name"),
        ({"n": "\ud800"}, "node name"),
        ({"u": None}, "has 0 bytes, not 16"),
        ({"u": "AAAA"}, "has 3 bytes, not 16"),
        ({"i": "AAAA" * 100}, "has 300 bytes, not 8"),
        ({"i": "not base64!"}, "id 'not base64!'"),
        ({"i": "A"}, "id 'A'"),
        ({"i": "é" * 11}, "id 'é"),
        ({"r": None}, "realm"),
        ({"r": "r" * 25}, "realm"),
        ({"r": "my realm"}, "realm"),
        ({"f": "zip"}, "^unknown framing 'zip'$"),
        ({"f": None}, "^unknown framing ''$"),
    ],
)
def test_a_malformed_value_is_an_advertisement_error_with_the_reason(
    changes: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(AdvertisementError, match=reason) as caught:
        from_txt({**TXT, **changes}, SENSOR.addresses, SENSOR.port)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", ["v", "t", "k", "n", "u", "i", "r"])
def test_a_missing_key_is_an_advertisement_error_that_names_it(key: str) -> None:
    txt = {name: value for name, value in TXT.items() if name != key}
    with pytest.raises(AdvertisementError, match="version None" if key == "v" else f"no key '{key}'"):
        from_txt(txt, SENSOR.addresses, SENSOR.port)


def test_what_may_be_missing_has_a_default() -> None:
    txt = {name: value for name, value in TXT.items() if name not in "chf"}
    got = from_txt(txt, SENSOR.addresses, SENSOR.port)
    assert (got.codec, got.host_id, got.framing) == ("plain", "", Framing.COLUGO)


@pytest.mark.parametrize("port", [None, 0, -1, 65536, DISCARD_PORT])
def test_a_port_that_no_socket_has_is_an_advertisement_error(port: int | None) -> None:
    with pytest.raises(AdvertisementError, match=f"port {port}"):
        from_txt(TXT, SENSOR.addresses, port)


@pytest.mark.parametrize("address", ["", "example", "256.1.1.1", "192.0.2.7:80", "tcp://192.0.2.7", "::g"])
def test_what_is_no_address_is_an_advertisement_error(address: str) -> None:
    with pytest.raises(AdvertisementError, match="does not appear to be an IPv4 or IPv6 address"):
        from_txt(TXT, (address,), SENSOR.port)


def test_a_record_of_a_newer_minor_form_with_more_keys_is_read() -> None:
    assert from_txt({**TXT, "zz": "new", "flag": None}, SENSOR.addresses, SENSOR.port) == SENSOR


def test_a_codec_or_host_from_a_stranger_is_bounded_and_printable() -> None:
    txt = {**TXT, "c": "\x1b[2J" + "c" * 8000, "h": "\x1b[2J" + "h" * 8000}
    try:
        got = from_txt(txt, SENSOR.addresses, SENSOR.port)
    except AdvertisementError:
        return
    assert len(got.codec) <= 32
    assert len(got.host_id) <= 32
    assert (got.codec + got.host_id).isprintable()


@given(
    st.dictionaries(
        st.sampled_from("vtknuirchf") | st.text(max_size=3),
        st.none()
        | st.text(max_size=40)
        | st.sampled_from(["1", "pub", "AAECA_z9_v8", *to_txt(SENSOR).values()]),
    ),
    st.lists(st.text(max_size=5) | addresses, max_size=2),
    st.none() | st.integers(-1, 70_000),
)
def test_any_record_is_an_advertisement_by_the_rules_or_an_advertisement_error(
    txt: dict[str, str | None], some: list[str], port: int | None
) -> None:
    for record in (txt, {**TXT, **txt}):
        try:
            got = from_txt(record, tuple(some), port)
        except AdvertisementError:
            continue
        assert from_txt(to_txt(got), got.addresses, got.port) == got
        assert all(ipaddress.ip_address(address) for address in got.addresses)
        assert len(got.socket_id) == 8
        assert len(got.node_id) == 16


# --- names and realms


@given(st.text(max_size=80))
@example("n" * 63)
@example("n" * 64)
@example("é" * 31)
@example("é" * 32)
@example("\ud800")
@example("a\x1b[2Jb")
def test_a_name_has_1_to_63_printable_bytes(name: str) -> None:
    if name.isprintable() and 1 <= len(name.encode()) <= 63:
        assert check_name(name) is name
    else:
        with pytest.raises(ConfigurationError, match="node name has 1 to 63 bytes") as caught:
            check_name(name)
        assert repr(name) in str(caught.value)


@given(st.text(TOPIC_SIGNS + " *é", max_size=30))
@example("r" * 24)
@example("r" * 25)
def test_a_realm_is_a_topic_of_at_most_24_bytes(realm: str) -> None:
    if 1 <= len(realm) <= 24 and set(realm) <= set(TOPIC_SIGNS):
        assert check_realm(realm) == realm
    else:
        with pytest.raises(ConfigurationError, match="a realm has 1 to 24 letters") as caught:
            check_realm(realm)
        assert repr(realm) in str(caught.value)


@pytest.mark.parametrize("thing", [None, 5, b"sensor", ["sensor"]])
def test_names_and_realms_are_str(thing: Any) -> None:
    with pytest.raises(ConfigurationError):
        check_name(thing)
    with pytest.raises(ConfigurationError):
        check_realm(thing)
