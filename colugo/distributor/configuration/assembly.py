"""Keeps a distributor as its configuration and its plugins want it."""

import logging
from typing import TYPE_CHECKING

from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.configuration.configuration_file import Configuration, Section
from colugo.distributor.configuration.making import Maker
from colugo.distributor.configuration.values import KeyPath, did_you_mean
from colugo.distributor.distributor import Distributor
from colugo.distributor.lane import on_thread
from colugo.distributor.plugins.plugin_directory import Key, PluginDirectory
from colugo.distributor.routing import fits_name
from colugo.errors import ConfigurationError, DistributorException

if TYPE_CHECKING:
    from colugo.distributor.plugins.factory import Factory, Kind

_LOGGER = logging.getLogger(__name__)


class Assembly:
    """Adds the sources and targets of a configuration and of a plugin directory to a distributor.

    A plugin that needs no parameters is added under its own name, unless the configuration has a section of
    its type.

    ```python
    assembly = Assembly(Distributor(), read_configuration("alerts.toml"), PluginDirectory("targets"))
    assembly.add_all()
    ```

    Args:
        distributor: the distributor.
        configuration: the configuration; None for an empty one.
        plugins: the plugin directory; None for none.
    """

    def __init__(
        self,
        distributor: Distributor,
        configuration: Configuration | None = None,
        plugins: PluginDirectory | None = None,
    ) -> None:
        self.distributor = distributor
        self.plugins = plugins
        self._configuration = configuration or Configuration()
        self._catalog = Catalog(plugins)
        self._maker = Maker(self._catalog, self._configuration)
        self._tried: dict[Key, Factory] = {}
        self._noted: set[str] = set()
        self._drain_ms = self._configuration.drain_ms

    def add_all(self) -> None:
        """Add routes, sources and targets, before the distributor is started.

        A plugin that raises or makes something else is logged, and the others are added.

        Raises:
            ConfigurationError: if the configuration has an error.
        """
        for route in self._configuration.routes:
            self.distributor.add_route(route)
        for section in self._configuration.formatters.values():
            self._maker.formatter(section)  # checked even if no target uses it
        if self.plugins is not None and not self.plugins.factories:
            self.plugins.refresh()
        for key, section in self._wanted().items():
            self._tried[key] = self._catalog.find(key[0], section.type, section.place)
            try:
                self._add(key, section)
            except DistributorException as error:
                _log(error)
        self._check_routes()

    async def reload(self) -> None:
        """Load plugins that have changed, and add, exchange or remove the sources and targets that they make.

        A target is exchanged by `Distributor.exchange_target`, so that its messages wait for the new one. If
        a new version cannot be made, the log has the error and the old one stays.
        """
        if self.plugins is None:
            return
        await on_thread("plugins", self.plugins.refresh)  # their imports may take long
        wanted = self._wanted()
        for key in [*self._tried]:
            if key not in wanted:
                await self._remove(key)
        for key, section in wanted.items():
            try:
                factory = self._catalog.find(key[0], section.type, section.place)
            except ConfigurationError as error:  # the plugin of its type is gone
                _LOGGER.warning("%s", error)
                await self._remove(key)
                continue
            tried = self._tried.get(key)
            if tried is not None and tried.make is factory.make:
                continue
            self._tried[key] = factory
            try:
                await self._put(key, section)
            except (ConfigurationError, DistributorException) as error:
                _log(error)

    def _wanted(self) -> dict[Key, Section]:
        """Return the sections of all targets and sources, also of plugins."""
        configured: dict[Kind, dict[str, Section]] = {
            "target": self._configuration.targets,
            "source": self._configuration.sources,
        }
        wanted: dict[Key, Section] = {}
        for kind, sections in configured.items():
            wanted |= {(kind, name): section for name, section in sections.items()}
            used = {section.type for section in sections.values()}
            for (its_kind, name), factory in self.plugins.factories.items() if self.plugins else ():
                if its_kind != kind or name in used:
                    continue
                needs = " and ".join(factory.required)
                if needs:
                    self._note(
                        f"{factory} is not added: it needs {needs}; name it as a type in a configuration"
                    )
                elif name in sections:
                    self._note(f"{factory} is not added: the configuration has a {kind} of that name")
                else:
                    wanted[kind, name] = Section(name, {}, KeyPath(factory.file))
        return wanted

    def _check_routes(self) -> None:
        """Warn of routes that name no source or target; a plugin may bring it later."""
        sources, targets = self.distributor.sources, self.distributor.targets
        for number, route in enumerate(self._configuration.routes):
            place = self._configuration.place.at("routes").at(number)
            for key, patterns, names in (("from", route.sources, sources), ("to", route.targets, targets)):
                for pattern in patterns:
                    if names and not any(fits_name(name, [pattern]) for name in names):
                        hint = did_you_mean(pattern, names)
                        self._note(f"{place.at(key)}: no name fits {pattern!r}; {hint}")

    def _exists(self, key: Key) -> bool:
        kind, name = key
        return name in (self.distributor.targets if kind == "target" else self.distributor.sources)

    def _add(self, key: Key, section: Section) -> None:
        kind, name = key
        if kind == "source":
            self.distributor.add_source(self._maker.source(section), name=name)
            return
        made = self._maker.target(section)
        self.distributor.add_target(made.target, name=name, formatter=made.formatter, options=made.options)

    async def _put(self, key: Key, section: Section) -> None:
        """Add a source or target to the running distributor, or exchange it."""
        kind, name = key
        exists = self._exists(key)
        _LOGGER.info("%s %s is %s", kind, name, "exchanged" if exists else "added")
        if kind == "source":
            source = self._maker.source(section)
            if exists:
                await self.distributor.remove_source(name, drain_ms=self._drain_ms)
            self.distributor.add_source(source, name=name)
            self.distributor.open_source(name)
        elif exists:
            made = self._maker.target(section)
            await self.distributor.exchange_target(
                name, made.target, formatter=made.formatter, drain_ms=self._drain_ms
            )
        else:
            self._add(key, section)
            await self.distributor.open_target(name)

    async def _remove(self, key: Key) -> None:
        kind, name = key
        self._tried.pop(key, None)
        if not self._exists(key):
            return
        _LOGGER.info("%s %s is removed", kind, name)
        if kind == "source":
            await self.distributor.remove_source(name, drain_ms=self._drain_ms)
        else:
            await self.distributor.remove_target(name, drain_ms=self._drain_ms)

    def _note(self, problem: str) -> None:
        """Log a problem once."""
        if problem not in self._noted:
            self._noted.add(problem)
            _LOGGER.warning("%s", problem)


def _log(error: Exception) -> None:
    """Log an error, with the traceback of the plugin that raised."""
    _LOGGER.error("%s", error, exc_info=error.__cause__)
