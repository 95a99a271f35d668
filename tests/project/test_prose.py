"""Docstrings, comments, error texts and documents keep the rules of prose."""

import pytest

from tests.support.essentials import ROOT
from tests.support.prose import findings, in_python, stumbles

PLACES = ["colugo", "docs", "examples", "tools", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]


@pytest.mark.parametrize("place", PLACES)
def test_the_prose_keeps_the_rules(place: str) -> None:
    # CONTRIBUTING.md quotes what to avoid, between quotation marks
    assert findings(ROOT / place) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Who reads slowly loses messages.",
        "What is kept goes with the next one.",
        "All is well. Whoever asks gets it.",
        "A lost server is said at once.",
        "The stream goes on without it.",
        "hwm is a whole number from 1 on",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_found(sentence: str) -> None:
    assert [line for line, _ in stumbles(f"Fine.\n\n{sentence}\n", 10)][:1] == [12]


@pytest.mark.parametrize("sentence", ["Who is connected?", "Run `who is told`.", "You see what it does."])
def test_questions_code_and_other_sentences_pass(sentence: str) -> None:
    assert list(stumbles(sentence, 1)) == []


def test_a_docstring_begins_with_an_imperative_or_a_noun_phrase() -> None:
    source = 'def f():\n    """Whether it is open."""\n\ndef g():\n    """Return True if it is open."""\n'
    assert list(in_python(source)) == [(2, "Whether it is open.")]


def test_comments_and_error_texts_are_read_too() -> None:
    source = "x = 1  # Who asks is told\nraise ValueError('must be sent')\nraise ValueError('is said')\n"
    assert {line for line, _ in in_python(source)} == {1, 3}
