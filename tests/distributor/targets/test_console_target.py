"""The console target: text as it is, and nothing that takes over the terminal."""

import subprocess
import sys

import pytest

from colugo.distributor import ConsoleTarget
from tests.support.essentials import ROOT, seconds
from tests.support.leftovers import nothing_left


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("hello", "hello"),
        ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
        ("\x1b[2J\x07\x9b31m\r\x7f", "\\x1b[2J\\x07\\x9b31m\\x0d\\x7f"),
        ("two\nlines\tand a tab", "two\nlines   and a tab"),
        ("x" * 1000, "x" * 1000),
        (b"\xff", "\ufffd"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_a_message_is_printed_as_text(
    message: object, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with nothing_left():
        target = ConsoleTarget()
        target.open()
        target.on_message(message)
        target.close()
    assert capsys.readouterr().out == f"{printed}\n"


BROKEN = """
from colugo.distributor import ConsoleTarget
import sys, os

class Target(ConsoleTarget):
    def on_error(self, exception):
        print(type(exception).__name__, file=sys.stderr)

target = Target()
target.on_message("first")
target.on_message("second")
target.close()
print("still there", file=sys.stderr, flush=True)
os._exit(0)  # else the interpreter complains about the pipe
"""


def test_an_output_that_nobody_reads_is_an_error_of_the_message_and_ends_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BROKEN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(seconds(10)) == 0
    assert [line for line in errors.splitlines() if "Error" in line and "target" not in line] == [
        "BrokenPipeError",
        "BrokenPipeError",
    ]
    assert "still there" in errors
