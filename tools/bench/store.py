"""Results in JSON files: each value, and beside it what is reckoned from them."""

import json
from dataclasses import asdict
from pathlib import Path

import msgspec

from tools.bench.results import Results, met, ratio


def write(path: Path, results: Results) -> None:
    """Write everything to a file.

    Args:
        path: the file; it is replaced, and its folder made.
        results: what to write.
    """
    content = asdict(results)
    for row, fields in zip(results.rows, content["rows"], strict=True):
        fields["summary"] = asdict(row.summary) if row.summary else None
        fields["ratio"] = ratio(row, results.rows)
        fields["met"] = met(row, results.rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read what `write` wrote.

    Raises:
        msgspec.ValidationError: if it is something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)
