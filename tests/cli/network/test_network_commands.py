"""`colugo nodes`, `doctor` and `why` on this machine alone, and their misuse."""

import json

import pytest
from click.testing import CliRunner, Result

from colugo import Node
from colugo.cli.main import colugo
from colugo.cli.network.output import clean
from tests.support.essentials import new_realm


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(colugo, [*arguments])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("why",), "Missing argument 'TOPIC'"),
        (("why", "a b"), "a b"),
        (("why", "a.b*"), "whole words"),
        (("why", ""), "must not be empty"),
        (("doctor", "--scope", "nowhere0"), "no interface or address 'nowhere0'"),
        (("nodes", "--realm", "no realm"), "a realm has 1 to 24"),
        (("nodes", "--wait", "0"), "not in the range"),
        (("doctor", "--wait", "soon"), "not a valid float"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(arguments: tuple[str, ...], text: str) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2
    assert text in result.output


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("COLUGO_PEERS", "COLUGO_PEERS takes host:port"),
        ("COLUGO_PORT", "COLUGO_PORT must be an integer"),
        ("COLUGO_MDNS", "COLUGO_MDNS must be 0 or 1"),
        ("COLUGO_IPC", "COLUGO_IPC"),
    ],
)
def test_an_environment_in_which_no_node_would_start_is_wrong_usage(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    result = run_command("doctor")
    assert result.exit_code == 2
    assert text in result.output


@pytest.mark.parametrize("command", ["nodes", "doctor", "why"])
def test_the_help_names_the_exit_statuses_and_ends_with_examples(command: str) -> None:
    lines = [line.strip() for line in run_command(command, "--help").output.rstrip().splitlines()]
    assert "Exit status:" in lines
    after = lines[lines.index("Examples:") + 1 :]
    assert after
    assert all(line.startswith(f"colugo {command}") for line in after)


def test_the_commands_see_the_nodes_of_this_machine(realm: str) -> None:
    # the commands also find other tests' nodes on this host, so nodes need unique names
    topic, one, two = f"t.{realm}", f"a.{realm}", f"b.{realm}"
    with Node(one).running() as a, Node(two).running() as b:
        publisher = a.add_publisher(topic)
        b.run(b.add_subscriber(topic, print).ready(), 5000)
        a.run(publisher.ready(), 5000)
        result = run_command("nodes", "--wait", "0.5")
        assert result.exit_code == 0
        assert [line.split()[:2] for line in result.output.splitlines()[1:3]] == [[one, realm], [two, realm]]
        result = run_command("why", topic, "--wait", "0.5")
        assert (result.exit_code, result.output.count("\n")) == (0, 1)
        assert result.output.startswith(
            f"ok       {topic}: node {one} → node {two}'s subscriber of {topic}: connected"
        )
        result = run_command("why", topic.upper(), "--wait", "0.5", "--json")
        assert result.exit_code == 1
        assert f"there is {topic}" in json.loads(result.output)[0]["text"]
        empty = new_realm()
        result = run_command("nodes", "--wait", "0.5", "--realm", empty)
        assert result.exit_code == 1
        assert result.output.startswith(f"No nodes found in realm {empty}.\n")


def test_in_scope_host_no_other_host_is_asked() -> None:
    result = run_command("doctor", "--scope", "host", "--wait", "0.2", "192.0.2.7", "--json")
    (found,) = [each for each in json.loads(result.output)["findings"] if "192.0.2.7" in each["text"]]
    assert (
        found["text"] == "192.0.2.7 cannot be queried: the scope in force sends no packet to other machines"
    )
    assert result.exit_code == 1


def test_signs_that_control_a_terminal_are_not_printed() -> None:
    assert clean("a\x1b[2Jb\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"
