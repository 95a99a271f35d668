"""Every Python snippet of README.md and docs/*.md runs, and prints what its page says.

A snippet is a fence that begins with three backticks and `python`. HTML comments, which readers do
not see, tell what to do with it. Those about a fence stand on the line above it:

    <!-- file: NAME -->      the fence is a file of this page
    <!-- continue: NAME -->  the fence continues that file
    <!-- output: NAME -->    the `text` fence is what the file prints in the last run before it

and between paragraphs, after the files:

    <!-- run: NAME NAME& -->

starts these files side by side, each a process on scope host, in a realm of its own. With `&`, a
program runs until it is stopped with SIGINT, when all the others have ended and all stated output is
there; the beginning of what it prints is compared. The others end by themselves, and all they print
is compared. Exit statuses must be 0, and a program without stated output prints nothing. A file
called `test_*.py` is run by pytest, and its output is not compared. (`<!-- wire: … -->` is for
test_wire_doc.py.)

A snippet without a comment is a program of its own, which ends by itself; `<!-- output -->` above a
`text` fence stands for the last such program.

In stated output, a line of three dots stands for any lines, and three dots within a line for any text.
"""

import os
import re
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.essentials import ROOT, Program

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"python", "text", "sh", "json", "hex", "toml"}
MOST_LINES = 200

COMMENT = re.compile(r"<!-- (file|continue|output|run)(?:: (.+))? -->")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Run:
    """Programs that run together.

    Attributes:
        names: their files.
        background: those that run until they are stopped.
        outputs: what they print.
    """

    names: list[str]
    background: set[str] = field(default_factory=set)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """The files and commands of a page that the test runs.

    Attributes:
        files: texts by name.
        runs: in the page's order.
        languages: of all fences.
    """

    files: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    languages: set[str] = field(default_factory=set)

    def snippet(self, verb: str, name: str, text: str) -> None:
        """Take in a Python fence."""
        match verb:
            case "file":
                assert name not in self.files, f"a second file {name}: use continue"
                self.files[name] = text
            case "continue":
                self.files[name] += "\n" + text
            case "":
                name = f"snippet_{len(self.files)}.py"
                self.files[name] = text
                self.runs.append(Run([name]))
            case _:
                raise AssertionError(f"{verb} above a Python snippet")

    def output(self, name: str, text: str) -> None:
        """Take in the output of a program of the last run that has it."""
        name = name or [each for each in self.files if each.startswith("snippet_")][-1]
        run = next(run for run in reversed(self.runs) if name in run.names)
        assert name not in run.outputs, f"a second output of {name}"
        run.outputs[name] = text

    def run(self, names: str) -> None:
        """Take in a run."""
        words = names.split()
        background = {word[:-1] for word in words if word.endswith("&")}
        plain = [word.removesuffix("&") for word in words]
        assert set(plain) <= set(self.files), f"run: {names}: no such file above"
        self.runs.append(Run(plain, background))


def read_page(text: str) -> Page:
    """Find the snippets, runs and outputs of a page."""
    page = Page()
    verb = name = ""
    lines = iter(text.splitlines())
    for line in lines:
        if comment := COMMENT.fullmatch(line):
            verb, name = comment[1], comment[2] or ""
            if verb == "run":
                page.run(name)
                verb = ""
        elif line.startswith("```"):
            language = line.removeprefix("```")
            page.languages.add(language)
            body = "".join(f"{inside}\n" for inside in iter(lambda: next(lines), "```"))
            if language == "python":
                page.snippet(verb, name, body)
            elif verb:
                assert (verb, language) == ("output", "text"), f"{verb} above a fence of {language}"
                page.output(name, body)
            verb = name = ""
        else:
            assert not verb, f"{verb}: {name} must stand on the line above a fence"
            assert not line.startswith("<!--") or line.startswith("<!-- wire:"), f"not understood: {line}"
    return page


def as_pattern(stated: str) -> re.Pattern[str]:
    """Make the pattern that the stated output stands for."""
    parts = []
    for line in stated.splitlines():
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line).replace(re.escape("..."), ".*?") + r"\n")
    return re.compile("".join(parts))


def read_until(program: Program, pattern: re.Pattern[str]) -> None:
    """Read what a program prints until it begins as the pattern says."""
    printed = ""
    for _ in range(MOST_LINES):
        if pattern.match(printed):
            return
        printed += program.expect("").rstrip("\n") + "\n"
    raise AssertionError(f"it should begin with {pattern.pattern!r}:\n{printed}")


def arguments_of(path: Path) -> list[str]:
    """Return the command that starts Python."""
    if path.name.startswith("test_"):
        return [
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "colugo.testing",
            str(path),
        ]
    return [str(path)]


def check_run(run: Run, folder: Path, realm: str) -> None:
    """Start the programs of a run and compare what they print."""
    patterns = {name: as_pattern(text) for name, text in run.outputs.items()}
    # the plugin is named on the command line, and pytest refuses it when it comes twice
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with ExitStack() as stack:
        programs = {
            # in that folder, too: what they leave there must not be found by those who come later
            name: stack.enter_context(
                Program(arguments_of(folder / name), realm=realm, env=env, folder=folder)
            )
            for name in run.names
        }
        for name in run.names:
            if name not in run.background:
                status = programs[name].wait()
                printed = "".join(f"{line}\n" for line in programs[name].lines)
                assert status == 0, f"{name} ended with status {status}:\n{printed}"
                if not name.startswith("test_"):
                    wanted = patterns.get(name, re.compile(""))
                    assert wanted.fullmatch(printed), f"{name} printed:\n{printed}"
        for name in run.background & patterns.keys():
            read_until(programs[name], patterns[name])
        for name in run.background:
            programs[name].signal(signal.SIGINT)
        for name in run.background:
            status = programs[name].wait()
            assert status == 0, f"{name} ended with status {status}:\n" + "\n".join(programs[name].lines)
            assert name in patterns or not programs[name].lines, f"{name} printed: {programs[name].lines}"


READ = {path: read_page(path.read_text(encoding="utf-8")) for path in PAGES}
QUICK = {"README", "request-reply", "streams", "survey", "tutorial"}
"""Pages that are tried each time; the others are slow tests."""
RUNS = [
    pytest.param(
        path,
        run,
        id=f"{path.stem}: {' '.join(run.names)}",
        marks=[] if path.stem in QUICK else [pytest.mark.slow],
    )
    for path, page in READ.items()
    for run in page.runs
]


@pytest.mark.parametrize(("path", "run"), RUNS)
def test_what_a_page_shows_runs_and_prints_what_the_page_says(
    path: Path, run: Run, tmp_path: Path, realm: str
) -> None:
    for name, text in READ[path].files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    check_run(run, tmp_path, realm)


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGINT, "sensor is gone: withdrawn"), (signal.SIGKILL, "sensor is gone: lost")],
)
def test_the_sensor_of_the_tutorial_goes_as_its_text_says(
    number: signal.Signals, said: str, tmp_path: Path, realm: str
) -> None:
    tutorial = ROOT / "docs" / "tutorial.md"
    for name in ("sensor.py", "watch.py"):
        (tmp_path / name).write_text(READ[tutorial].files[name], encoding="utf-8")
    with (
        Program([str(tmp_path / "watch.py")], realm=realm) as watch,
        Program([str(tmp_path / "sensor.py")], realm=realm) as sensor,
    ):
        watch.expect("now 21.5")
        sensor.signal(number)
        assert watch.expect("gone").rstrip() == said
    assert f"`{said}`" in tutorial.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_of_a_page_is_run(path: Path) -> None:
    page = READ[path]
    assert set(page.files) == {name for run in page.runs for name in run.names}
    assert page.languages <= LANGUAGES, "a Python snippet by another name would not be run"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_what_is_there(path: Path) -> None:
    for link in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        place = Path(os.path.normpath(path.parent / target)) if target else path
        assert place.exists(), f"{path.name} links to {link}"
        if anchor:
            headings = re.findall(
                r"^#+ (.+)$", FENCED.sub("", place.read_text(encoding="utf-8")), re.MULTILINE
            )
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, link


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(LINK.findall(PAGES[0].read_text(encoding="utf-8")))
    assert {f"docs/{path.name}" for path in PAGES[1:]} <= linked


WRONG = [
    pytest.param("run: a.py", 'print("on")\nprint("off")', "on", id="a line too many"),
    pytest.param("run: a.py", 'print("on")', "on\noff", id="a line too few"),
    pytest.param("run: a.py", 'print("on")', "off", id="another line"),
    pytest.param("run: a.py", 'print("on")', "", id="not a word stated"),
    pytest.param("run: a.py", 'print("on")\nraise SystemExit(3)', "on", id="an exit status"),
    pytest.param("run: a.py&", 'print("on")', "on\noff", id="an early end"),
]


@pytest.mark.parametrize(("run", "program", "stated"), WRONG)
def test_a_page_that_says_something_wrong_is_noticed(
    run: str, program: str, stated: str, tmp_path: Path, realm: str
) -> None:
    text = f"<!-- file: a.py -->\n```python\n{program}\n```\n<!-- {run} -->\n"
    if stated:
        text += f"<!-- output: a.py -->\n```text\n{stated}\n```\n"
    page = read_page(text)
    (tmp_path / "a.py").write_text(page.files["a.py"], encoding="utf-8")
    with pytest.raises(AssertionError):
        check_run(page.runs[0], tmp_path, realm)


def test_dots_stand_for_any_text_and_for_any_lines() -> None:
    page = read_page('```python\nprint("a")\n```\n<!-- output -->\n```text\nport ...\n...\nend\n```\n')
    (run,) = page.runs
    pattern = as_pattern(run.outputs[run.names[0]])
    assert pattern.fullmatch("port 1234\nend\n")
    assert pattern.fullmatch("port 1234\nx\ny\nend\n")
    assert not pattern.fullmatch("ports\nend\n")
    assert not pattern.fullmatch("port 1234\nx\n")
