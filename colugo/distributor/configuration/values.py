"""Checks and conversions of configured values, with errors that name their place."""

import difflib
import os
import tomllib
import typing
from collections.abc import Collection
from inspect import Parameter
from pathlib import Path
from typing import Any

import msgspec

from colugo.errors import ConfigurationError


class KeyPath(msgspec.Struct, frozen=True):
    """The place of a value: a file and the path of a key, for errors.

    Attributes:
        source: the file, or the part of a command line.
        path: the keys that lead to the value, separated by dots; "" for the whole file.
        folder: the directory that relative paths are relative to; None for the working directory.
    """

    source: str
    path: str = ""
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.path}" if self.path else self.source

    def at(self, key: str | int) -> "KeyPath":
        """Return the place of a key or item."""
        path = f"{self.path}[{key}]" if isinstance(key, int) else f"{self.path}.{key}".lstrip(".")
        return KeyPath(self.source, path, self.folder)

    def error(self, text: str) -> ConfigurationError:
        """Make an error about this place."""
        return ConfigurationError(f"{self}: {text}")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint with the nearest known name, or with all if none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(sorted(known))}" if known else "none is known"


def check_keys(given: Collection[str], known: Collection[str], place: KeyPath) -> None:
    """Raise a ConfigurationError for a key that is not known."""
    for key in given:
        if key not in known:
            raise place.at(key).error(f"unknown key; {did_you_mean(key, known)}")


def converted(value: Any, annotation: Any, place: KeyPath) -> Any:
    """Convert a value of TOML to an annotated type.

    For a type that includes a path, a str becomes a Path. A value of a type that msgspec does not know stays
    as it is.

    Raises:
        ConfigurationError: if the value has another type.
    """
    if _takes_path(annotation) and value is not None:
        return (place.folder or Path()) / Path(converted(value, str, place)).expanduser()
    if annotation is Parameter.empty:
        return value
    try:
        return msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        raise place.error(f"{_plain(error)} ({value!r})") from None
    except TypeError:  # a type that msgspec does not know
        return value


def converted_text(text: str, annotation: Any, place: KeyPath) -> Any:
    """Convert a value of a command line, as it is or as in TOML, such as `["a", "b"]`, to an annotated type.

    Raises:
        ConfigurationError: if the value does not fit.
    """
    if _takes_path(annotation):
        return converted(text, annotation, place)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if annotation in (Parameter.empty, Any, object):
        return value
    try:
        return msgspec.convert(text, annotation, strict=False)
    except msgspec.ValidationError:
        return converted(value, annotation, place)
    except TypeError:
        return value


def _takes_path(annotation: Any) -> bool:
    """Return True if a type is, or includes, one of paths."""
    base = typing.get_origin(annotation) or annotation
    if isinstance(base, type) and issubclass(base, os.PathLike):
        return True
    return any(_takes_path(one) for one in typing.get_args(annotation))


def _plain(error: msgspec.ValidationError) -> str:
    """Turn msgspec's text, such as "Expected `int | null`, got `object` - at `$[1]`", into words of TOML."""
    text = str(error).replace("`", "").replace(" | null", "").replace("object", "table")
    text, _, where = text.partition(" - at $")
    return f"{text[:1].lower()}{text[1:]}{f' at {where}' if where else ''}"
