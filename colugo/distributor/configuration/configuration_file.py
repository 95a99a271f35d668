"""The configuration of a distributor: one TOML file."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from colugo.distributor.configuration.values import KeyPath, check_keys, converted
from colugo.distributor.distributor import DEFAULT_DRAIN_MS
from colugo.distributor.routing import Route
from colugo.errors import ConfigurationError

_ROUTE_KEYS = ("from", "to", "pattern", "field", "value")


class Section(msgspec.Struct, frozen=True):
    """One of the tables `[sources.NAME]`, `[targets.NAME]` and `[formatters.NAME]`.

    Attributes:
        type: the name of a type; that of the section if it gives none.
        values: its other keys.
        place: where it stands.
    """

    type: str
    values: dict[str, Any]
    place: KeyPath


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a configuration file. The sections are checked when their types are known.

    Attributes:
        src: the directory of plugins; None if the file names none.
        drain_ms: milliseconds for the messages that wait when the distributor stops.
        log_level: the level of log messages, such as `"INFO"`; None for the default.
        sources: the sources by name.
        targets: the targets by name.
        formatters: the formatters by name.
        routes: the routes.
        place: the file.
    """

    src: Path | None = None
    drain_ms: int = DEFAULT_DRAIN_MS
    log_level: str | None = None
    sources: dict[str, Section] = msgspec.field(default_factory=dict)
    targets: dict[str, Section] = msgspec.field(default_factory=dict)
    formatters: dict[str, Section] = msgspec.field(default_factory=dict)
    routes: list[Route] = msgspec.field(default_factory=list)
    place: KeyPath = KeyPath("")


def read_configuration(path: str | Path) -> Configuration:
    """Read a configuration file.

    Args:
        path: a file in TOML 1.0 (https://toml.io). Relative paths in it are relative to its directory.

    Raises:
        ConfigurationError: if it cannot be read, with line and column for a syntax error; if a key is unknown
            or a value has the wrong type, with the path of the key.
    """
    file = Path(path)
    place = KeyPath(str(path), folder=file.absolute().parent)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise place.error(f"is not UTF-8: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise place.error(str(error)) from None
    check_keys(table, [name for name in Configuration.__struct_fields__ if name != "place"], place)
    drain_ms = converted(table.get("drain_ms", DEFAULT_DRAIN_MS), int, place.at("drain_ms"))
    if drain_ms < 0:
        raise place.at("drain_ms").error(f"must be an integer ≥ 0, not {drain_ms}")
    return Configuration(
        src=converted(table.get("src"), Path | None, place.at("src")),
        drain_ms=drain_ms,
        log_level=converted(table.get("log_level"), str | None, place.at("log_level")),
        sources=_sections(table, "sources", place),
        targets=_sections(table, "targets", place),
        formatters=_sections(table, "formatters", place),
        routes=_routes(table, place.at("routes")),
        place=place,
    )


def _sections(table: dict[str, Any], key: str, place: KeyPath) -> dict[str, Section]:
    sections: dict[str, Section] = {}
    for name, values in converted(table.get(key, {}), dict[str, Any], place.at(key)).items():
        here = place.at(key).at(name)
        found = dict(converted(values, dict[str, Any], here))
        kind = converted(found.pop("type", name), str, here.at("type"))
        sections[name] = Section(kind, found, here)
    return sections


def _routes(table: dict[str, Any], place: KeyPath) -> list[Route]:
    routes: list[Route] = []
    for number, values in enumerate(converted(table.get("routes", []), list[dict[str, Any]], place)):
        here = place.at(number)
        check_keys(values, _ROUTE_KEYS, here)
        lists = {key: [values[key]] for key in ("from", "to") if isinstance(values.get(key), str)}
        try:
            routes.append(msgspec.convert({**values, **lists}, Route))
        except (msgspec.ValidationError, ConfigurationError) as error:
            raise here.error(str(error)) from None
    return routes
