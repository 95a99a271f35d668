"""The TOML file: what it makes, and what it says about mistakes."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colugo import ConfigurationError
from colugo.distributor import Distributor, GraphiteFormatter
from colugo.distributor.configuration.assembly import Assembly
from colugo.distributor.configuration.configuration_file import read_configuration
from colugo.distributor.configuration.values import KeyPath, converted_text
from colugo.distributor.plugins.plugin_directory import PluginDirectory
from colugo.errors import InvalidDistributionTarget

PLUGIN = """
from collections.abc import Sequence
from os import PathLike
from colugo.distributor import AbstractDistributionSource, ThreadedDistributionTarget

class Kept(ThreadedDistributionTarget):
    def __init__(self, host, port, state, labels):
        super().__init__()
        self.host, self.port, self.state, self.labels = host, port, state, labels

    def process(self, message): ...

class Feed(AbstractDistributionSource):
    def __init__(self, options): self.options = options
    def set_on_message(self, function): self.send = function
    def open(self): ...
    def close(self, code=-1, reason=""): ...

def create_kept_target(
    host: str, port: int = 2003, *, state: str | PathLike[str] | None = None, labels: Sequence[str] = ()
):
    return Kept(host, port, state, labels)

def create_feed_source(**options):
    return Feed(options)

def create_nothing_target():
    pass

def create_raising_target():
    raise OSError("no printer")

def create_wrong_source():
    return Kept("", 1, None, ())

def create_exiting_target():
    raise SystemExit("set API_KEY")
"""
Configure = Callable[[str], Assembly]


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configure]:
    """Make the sources and targets of a configuration with the plugins above."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "kept.py").write_text(PLUGIN)
    plugins = PluginDirectory(folder)

    def make(text: str) -> Assembly:
        (tmp_path / "alerts.toml").write_text(text)
        assembly = Assembly(Distributor(), read_configuration(tmp_path / "alerts.toml"), plugins)
        assembly.add_all()
        return assembly

    yield make
    plugins.close()


# --- what it makes


def test_sections_become_sources_targets_formatters_and_routes(configured: Configure, tmp_path: Path) -> None:
    distributor = configured("""
        src = "plugins"
        drain_ms = 100
        log_level = "debug"

        [sources.alerts]
        type = "feed"
        url = "wss://alerts.example"

        [targets.kept]
        host = "127.0.0.1"
        state = "state/place"
        labels = ["a", "b"]
        queue = 5
        full = "wait"
        retries = -1
        formatter = "short"

        [targets.other]
        type = "kept"
        host = "::1"
        port = 2004
        formatter = "graphite"

        [formatters.short]
        type = "graphite"
        prefix = "x"

        [[routes]]
        from = "alerts"
        to = ["kept"]
        field = "symbol"
        value = "BTC*"
        """).distributor
    kept: Any = distributor.targets["kept"]
    other: Any = distributor.targets["other"]
    source: Any = distributor.sources["alerts"]
    assert source.options == {"url": "wss://alerts.example"}
    assert (kept.host, kept.port, kept.labels) == ("127.0.0.1", 2003, ["a", "b"])
    assert kept.state == tmp_path / "state" / "place"
    assert isinstance(kept.formatter, GraphiteFormatter)
    assert kept.formatter is not other.formatter
    assert distributor._lane("kept").options.queue == 5
    assert distributor._lane("kept").options.full == "wait"
    assert (other.host, other.port, other.state) == ("::1", 2004, None)
    (route,) = distributor._routes
    assert (route.sources, route.targets, route.field, route.value) == (
        ["alerts"],
        ["kept"],
        "symbol",
        "BTC*",
    )


def test_the_top_level_keys_are_read(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text('src = "plugins"\ndrain_ms = 0\nlog_level = "debug"\n')
    configuration = read_configuration(file)
    assert configuration.src == tmp_path / "plugins"
    assert (configuration.drain_ms, configuration.log_level) == (0, "debug")


def test_a_plugin_that_no_section_names_is_added_by_itself_unless_it_needs_parameters(
    configured: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    assembly = configured("")
    assert set(assembly.distributor.sources) == {"feed"}
    assert set(assembly.distributor.targets) == set()
    assert "target kept (plugins/kept.py) is not added: it needs host" in caplog.text


def test_a_plugin_that_returns_nothing_or_raises_is_reported_and_the_others_are_added(
    configured: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assembly = configured('[targets.kept]\nhost = "127.0.0.1"')
    assert set(assembly.distributor.targets) == {"kept"}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    file = tmp_path / "plugins" / "kept.py"
    texts = [record.getMessage() for record in errors]
    assert any(f"create_nothing_target() in {file} returned no target, but None" in text for text in texts)
    assert any(f"create_raising_target() in {file} raised OSError: no printer" in text for text in texts)
    assert any(f"create_wrong_source() in {file} returned no source, but" in text for text in texts)
    assert any(f"create_exiting_target() in {file} raised SystemExit: set API_KEY" in text for text in texts)
    assert "line 31, in create_raising_target" in caplog.text


def test_a_route_that_fits_no_name_is_warned_of(
    configured: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    configured("[targets.kept]\nhost = 'x'\n[[routes]]\nfrom = '*'\nto = ['kep', 'k*']")
    assert "alerts.toml: routes[0].to: no name fits 'kep'; did you mean 'kept'?" in caplog.text
    assert "'k*'" not in caplog.text


def test_an_empty_file_is_a_configuration(configured: Configure) -> None:
    assert configured("").distributor.stats == {}


# --- what it says about mistakes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[targets.kept]\nhost = "x"\nhots = 1', "targets.kept.hots: unknown key; did you mean 'host'?"),
        ('[targets.kept]\nhost = "x"\nqueu = 1', "targets.kept.queu: unknown key; did you mean 'queue'?"),
        ("[target.kept]", "target: unknown key; did you mean 'targets'?"),
        ("[[routes]]\nform = 'x'", "routes[0].form: unknown key; did you mean 'from'?"),
        ("[targets.x]\ntype = 'kepd'", "targets.x: unknown type of target 'kepd'; did you mean 'kept'?"),
        ("[targets.zzz]", "targets.zzz: unknown type of target 'zzz'; known are "),
        ('[targets.kept]\nhost = "x"\nport = "y"', "targets.kept.port: expected int, got str ('y')"),
        ('[targets.kept]\nhost = "x"\nport = true', "targets.kept.port: expected int, got bool (True)"),
        ('[targets.kept]\nhost = "x"\nlabels = [1]', "targets.kept.labels: expected str, got int at [0]"),
        ('[targets.kept]\nhost = "x"\nstate = 1', "targets.kept.state: expected str, got int (1)"),
        ('[targets.kept]\nhost = "x"\nqueue = 0', "targets.kept: queue must be an integer ≥ 1, not 0"),
        ('[targets.kept]\nhost = "x"\nfull = "drop"', "targets.kept.full: invalid enum value 'drop'"),
        ("[targets.kept]\nport = 1", "targets.kept: target type 'kept' needs host"),
        ('[targets.kept]\nhost = "x"\nformatter = "grafite"', "targets.kept.formatter: unknown formatter "),
        ("[targets]\nkept = 1", "targets.kept: expected table, got int (1)"),
        ("targets = 1", "targets: expected table, got int (1)"),
        ("[targets.x]\ntype = 1", "targets.x.type: expected str, got int (1)"),
        (
            "[formatters.x]\ntype = 'graphite'\n[targets.kept]\nhost = ''\nformatter = 'x'\n[formatters.x.p]",
            "x.p",
        ),
        ("[[routes]]\npattern = '('", "routes[0]: pattern '(' is not a regular expression"),
        ("[[routes]]\nvalue = 1", "routes[0]"),
        ("[[routes]]\nvalue = 'buy'", "routes[0]: value 'buy' needs a field"),
        ("[formatters.x]\ntype = 'jsn'", "formatters.x: unknown type of formatter 'jsn'; did you mean"),
        ("[formatters.json]\nindent = 1", "formatters.json.indent: unknown key"),
        ("[targets.tcp]\nhost = 'x'\nport = 70000", "targets.tcp: port must be an integer from 1 to 65535"),
        (
            "[targets.udp]\nhost = 'x'\nport = 0",
            "targets.udp: port must be an integer from 1 to 65535, not 0",
        ),
        ("[targets.websocket]\nport = -1", "targets.websocket: port must be an integer from 0 to 65535"),
        ("[targets.http]\nurl = 'http://x:70000/'", "targets.http: url must be http://"),
        ("[targets.http]\nurl = 'http://x'\nrequest_timeout_ms = 0", "request_timeout_ms must be an "),
        ("drain_ms = -1", "drain_ms: must be an integer ≥ 0, not -1"),
        ("drain_ms = '5 s'", "drain_ms: expected int, got str ('5 s')"),
        ("x = 1\ny = = 2", "(at line 2, column 5)"),
        ("[targets.kept]\n[targets.kept]", "(at line 2, column 14)"),
    ],
)
def test_a_mistake_names_the_file_its_place_and_what_is_known(
    configured: Configure, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        configured(text)
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'alerts.toml'}: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"x = '\xff'", "is not UTF-8: ")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "alerts.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_configuration(file)


def test_a_plugin_that_makes_no_target_is_an_invalid_distribution_target(configured: Configure) -> None:
    assembly = configured("")
    for name in ("nothing", "raising"):
        section = assembly._wanted()["target", name]
        with pytest.raises(InvalidDistributionTarget, match=rf"^create_{name}_target\(\) in "):
            assembly._maker.target(section)


# --- values of a command line


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("5", int, 5),
        ("5", str, "5"),
        ("true", bool, True),
        ("5", int | None, 5),
        ("0.5", float, 0.5),
        ('["a", "b"]', tuple[str, ...], ("a", "b")),
        ('{ a = "b" }', dict[str, str], {"a": "b"}),
        ("plain", Any, "plain"),
        ("5", Any, 5),
        ("state", Path, Path("state")),
    ],
)
def test_a_value_of_a_command_line_is_converted_to_its_type(
    text: str, annotation: Any, value: object
) -> None:
    assert converted_text(text, annotation, KeyPath("--set", "x")) == value


def test_a_value_of_a_command_line_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"--set: x: expected int, got str \('y'\)"):
        converted_text("y", int, KeyPath("--set", "x"))
