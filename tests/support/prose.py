"""A checker of the prose in docstrings, comments, error texts and documents.

Run `python -m tests.support.prose colugo docs README.md` to list what breaks the rules of CONTRIBUTING.md.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

BEGINNING = re.compile(r"(?:What|Who|Whose|Whom|Whoever|Whatever|Whether|It|They|There|That)\b")
"""Bad first words of a docstring, which is an imperative or a noun phrase."""
NOUN_CLAUSE = re.compile(
    r"(?:^|(?<=[.!:;] ))(?:What|Who|Whoever|Whatever|Whom|Whose|Which)\s(?=[a-z])[^.?!]*(?:[.!]|$)",
    re.MULTILINE,
)
"""A sentence with a clause for its subject: `Who reads slowly loses messages.` Questions end otherwise."""
PHRASES = re.compile(
    r"\b(?:(?:is|are|was|were|be|been) (?:said|told)|goes on|go on|went on|gone on|whoever|"
    r"from 1 on|whole number)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"```.*?```|``[^`]*``|`[^`\n]*`|<!--.*?-->|\"[^\"\n]{0,80}\"", re.DOTALL)

Finding = tuple[int, str]
"""A line number and the words to mend."""


def stumbles(text: str, first: int) -> Iterator[Finding]:
    """Find bad sentences in a text that begins at a line, without its code and quotations."""
    clean = CODE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    for pattern in (NOUN_CLAUSE, PHRASES):
        for match in pattern.finditer(clean):
            yield first + clean.count("\n", 0, match.start()), match[0].strip().splitlines()[0][:70]


def docstrings(tree: ast.AST) -> list[ast.Constant]:
    """List the docstrings of modules, classes and functions, and the texts below attributes."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def in_python(source: str) -> Iterator[Finding]:
    """Find bad sentences in docstrings and comments, and bad phrases in other strings."""
    tree = ast.parse(source)
    documented = docstrings(tree)
    for node in documented:
        text = str(node.value)
        if BEGINNING.match(text):
            yield node.lineno, text.splitlines()[0][:70]
        yield from stumbles(text, node.lineno)
    for other in ast.walk(tree):
        if isinstance(other, ast.Constant) and isinstance(other.value, str) and other not in documented:
            yield from ((other.lineno, match[0]) for match in PHRASES.finditer(other.value))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from stumbles(token.string.lstrip("# "), token.start[0])


def findings(place: Path) -> list[str]:
    """List what breaks the rules in a file or folder, a line each."""
    if place.is_dir():
        paths = sorted(path for ending in ("*.py", "*.md") for path in place.rglob(ending))
    else:
        paths = [place]
    found = []
    for path in (path for path in paths if "_pb2" not in path.name):
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path}:{line}: {words}"
            for line, words in sorted(set(in_python(text) if path.suffix == ".py" else stumbles(text, 1)))
        ]
    return found


if __name__ == "__main__":
    listed = [line for argument in sys.argv[1:] for line in findings(Path(argument))]
    print("\n".join(listed))
    sys.exit(bool(listed))
