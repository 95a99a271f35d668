"""Checks that nodes and hosts agree: on versions, clocks, and the format of their records."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count, duration, some
from colugo.protocol.advertisement import UNKNOWN

_MOST_SKEW_MS = 1000
_VERSION = "version"


def versions(facts: Facts) -> Iterator[Finding]:
    """Check that all nodes have one version of colugo and one wire format."""
    wires: defaultdict[str, list[str]] = defaultdict(list)
    libraries: defaultdict[str, list[str]] = defaultdict(list)
    for uuid, node in facts.nodes.items():
        wires[node.wire_version].append(facts.label(uuid))
        libraries[node.version].append(facts.label(uuid))
    if len(wires) > 1:
        text = f"wire formats differ, so these nodes cannot communicate: {_by_version(wires)}"
        yield Finding(Level.WRONG, "versions", text, "install the same version of colugo everywhere")
    if len(libraries) > 1:
        text = f"versions of colugo differ: {_by_version(libraries)}"
        advice = "they are compatible; upgrade the older ones when you can"
        yield Finding(Level.WARNING, "versions", text, advice)
    elif libraries:
        (version,) = libraries
        everywhere = " everywhere" if len(facts.nodes) > 1 else ""
        yield Finding(Level.OK, "versions", f"colugo {version}{everywhere}")


def _by_version(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{version or 'unknown'} ({some(names)})" for version, names in sorted(groups.items()))


def records(facts: Facts) -> Iterator[Finding]:
    """Check that every record of colugo's service type can be read."""
    for name, reason in sorted(facts.ignored.items()):
        label = name.removesuffix("._colugo._tcp.local.")
        if reason.startswith((_VERSION, UNKNOWN)):
            text = f"the record {label} is of another version and was ignored: {reason}"
            advice = "its program uses another version of colugo: install the same version on both sides"
        else:
            text = f"the record {label} is malformed and was ignored: {reason}"
            advice = "a program other than colugo advertises this service type: find it with avahi-browse -r"
        yield Finding(Level.WRONG, "records", text, advice)
    if not facts.ignored and facts.discovered:
        yield Finding(Level.OK, "records", f"{count(len(facts.discovered), 'record')}, all valid")


def clocks(facts: Facts) -> Iterator[Finding]:
    """Check that the clocks of the hosts agree, because message ages are computed from them."""
    by_host: defaultdict[str, list[float]] = defaultdict(list)
    names: defaultdict[str, list[str]] = defaultdict(list)
    for uuid, skew in facts.skew_ms.items():
        host = facts.host_of(uuid)
        if host != facts.host_id:
            by_host[host].append(skew)
            names[host].append(facts.label(uuid))
    if not by_host:
        return
    all_agree = True
    for host, skews in by_host.items():
        skew = median(skews)
        if abs(skew) > _MOST_SKEW_MS:
            all_agree = False
            direction = "ahead of" if skew > 0 else "behind"
            text = f"the clock of {_host_name(facts, host)} (node {some(names[host])}) is "
            text += f"{duration(abs(skew))} {direction} this machine's"
            advice = "synchronize both clocks with NTP (chrony, systemd-timesyncd)"
            yield Finding(Level.WARNING, "clocks", text, advice)
    if all_agree:
        most = max(abs(median(skews)) for skews in by_host.values())
        text = f"{count(len(by_host), 'other host')}, at most {duration(most)} apart"
        yield Finding(Level.OK, "clocks", text)


def _host_name(facts: Facts, host: str) -> str:
    node = next(node for node in facts.nodes.values() if node.host_id == host)
    address = next(iter(node.addresses), "")
    return f"{node.host_name} at {address}" if address else node.host_name
