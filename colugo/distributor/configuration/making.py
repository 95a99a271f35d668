"""From a section of a configuration to a source, target or formatter."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from colugo.distributor.base import AbstractDistributionSource, AbstractDistributionTarget
from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.configuration.configuration_file import Configuration, Section
from colugo.distributor.configuration.values import KeyPath, check_keys, converted, did_you_mean
from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.plugins.factory import Factory, Kind
from colugo.distributor.target_options import TargetOptions
from colugo.errors import ColugoError, ConfigurationError, DistributorException, InvalidDistributionTarget

Convert = Callable[[Any, Any, KeyPath], Any]
_BASES: dict[Kind, type] = {
    "source": AbstractDistributionSource,
    "target": AbstractDistributionTarget,
    "formatter": IFormatter,
}
_OPTIONS = {one.name: one.type for one in msgspec.structs.fields(TargetOptions)}


class MadeTarget(msgspec.Struct, frozen=True):
    """A target, and its treatment by the distributor."""

    target: AbstractDistributionTarget
    formatter: IFormatter | None
    options: TargetOptions


class Maker:
    """Makes sources, targets and formatters by the values of their sections, converted by `convert`."""

    def __init__(self, catalog: Catalog, configuration: Configuration, convert: Convert = converted) -> None:
        self._catalog = catalog
        self._formatters = configuration.formatters
        self._convert = convert

    def source(self, section: Section) -> AbstractDistributionSource:
        """Make a source.

        Raises:
            ConfigurationError: if a key is unknown or missing, or a value does not fit.
            DistributorException: if a plugin raises or returns no source.
        """
        made: AbstractDistributionSource = self._make(self._factory("source", section), section)
        return made

    def target(self, section: Section) -> MadeTarget:
        """Make a target.

        Raises:
            ConfigurationError: if a key is unknown or missing, or a value does not fit.
            InvalidDistributionTarget: if a plugin raises or returns no target.
        """
        factory = self._factory("target", section)
        taken = factory.parameters
        options = {
            key: self._convert(value, _OPTIONS[key], section.place.at(key))
            for key, value in section.values.items()
            if key in _OPTIONS and key not in taken
        }
        formatter = self._formatter(factory, section)
        try:
            made = TargetOptions(**options)
        except ConfigurationError as error:
            raise section.place.error(str(error)) from None
        return MadeTarget(self._make(factory, section, ("formatter", *_OPTIONS)), formatter, made)

    def _formatter(self, factory: Factory, section: Section) -> IFormatter | None:
        if "formatter" in factory.parameters:
            return None
        name = section.values.get("formatter", factory.formatter)
        if name is None:
            return None
        place = section.place.at("formatter")
        name = converted(name, str, place)
        known = {*self._formatters, *self._catalog.names("formatter")}
        if name not in known:
            raise place.error(f"unknown formatter {name!r}; {did_you_mean(name, known)}")
        return self.formatter(self._formatters.get(name, Section(name, {}, place)))

    def formatter(self, section: Section) -> IFormatter:
        """Make a formatter.

        Raises:
            ConfigurationError: if a key is unknown or missing, or a value does not fit.
        """
        made: IFormatter = self._make(self._factory("formatter", section), section)
        return made

    def _factory(self, kind: Kind, section: Section) -> Factory:
        return self._catalog.find(kind, section.type, section.place)

    def _make(self, factory: Factory, section: Section, others: tuple[str, ...] = ()) -> Any:
        place, parameters = section.place, factory.parameters
        if not factory.takes_any:
            check_keys(section.values, [*parameters, *others], place)
        arguments = dict(factory.defaults)
        for key, value in section.values.items():
            if key in parameters:
                arguments[key] = self._convert(value, parameters[key].annotation, place.at(key))
            elif key not in others:
                arguments[key] = self._convert(value, inspect.Parameter.empty, place.at(key))
        missing = [name for name in factory.required if name not in arguments]
        if missing:
            raise place.error(f"{factory.kind} type {factory.name!r} needs {' and '.join(missing)}")
        return _call(factory, arguments, place)


def _call(factory: Factory, arguments: dict[str, Any], place: KeyPath) -> Any:
    """Call a factory, and check what it returns."""
    failure = InvalidDistributionTarget if factory.kind == "target" else DistributorException
    where = "" if place.source == factory.file else f"{place}: "
    try:
        made = factory.make(**arguments)
    except (Exception, SystemExit) as error:  # a plugin does not end the others
        if isinstance(error, ColugoError) and not factory.file:  # it judges the values
            raise place.error(str(error)) from error
        raise failure(f"{where}{factory.call} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, _BASES[factory.kind]):
        raise failure(f"{where}{factory.call} returned no {factory.kind}, but {made!r}")
    return made
