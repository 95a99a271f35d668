"""The throughputs as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from tools.bench.results import Results, Row

REFERENCE = "pyzmq"
_COLOURS = {
    "colugo": "#c2410c",
    "pyzmq": "#64748b",
    "zmqstream": "#a8b3c2",
    "zenoh": "#2563a8",
    "nats": "#3d9a6d",
    "cyclonedds": "#9b72b0",
}
_LINES = (("pubsub",), ("fan-out", "fan-in", "requests"))
_GROUP_WIDTH = 0.84
_LABEL_ROOM = 1.9


def draw(everything: Sequence[Results], file: Path) -> None:
    """Draw the median rates of all libraries, as multiples of pyzmq's, in groups of bars.

    Args:
        everything: the results; those that are no rates are left out.
        file: the SVG to write.
    """
    chosen = {results.benchmark: results for results in everything if groups(results.rows)}
    lines = [[chosen[name] for name in line if name in chosen] for line in _LINES]
    lines = [line for line in lines if line]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "colugo", "font.family": "sans-serif"})
    figure = Figure(figsize=(11, 0.9 + 3.2 * len(lines)), layout="constrained", facecolor="white")
    figure.suptitle(f"Messages or replies per second, as a multiple of {REFERENCE}'s (logarithmic)")
    libraries: dict[str, None] = {}
    for part, line in zip(figure.subfigures(max(1, len(lines)), 1, squeeze=False)[:, 0], lines, strict=False):
        widths = [len(groups(results.rows)) for results in line]
        axes = part.subplots(1, len(line), squeeze=False, sharey=True, width_ratios=widths)[0]
        for axis, results in zip(axes, line, strict=True):
            _panel(axis, results)
            libraries.update(dict.fromkeys(row.library for row in results.rows))
        axes[0].set_ylabel(f"{REFERENCE} = 1")
    _legend(figure, libraries)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="svg", metadata={"Date": None})


def groups(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The bars: by what was measured, each library's median as a multiple of the reference's.

    Args:
        rows: of one benchmark; what has no value is left out, and so is what has no reference.
    """
    medians: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.summary is not None:
            medians.setdefault(row.name, {})[row.library] = row.summary.p50
    return {
        name: {library: median / its[REFERENCE] for library, median in its.items()}
        for name, its in medians.items()
        if its.get(REFERENCE)
    }


def _panel(axis: Axes, results: Results) -> None:
    bars = groups(results.rows)
    for place, ratios in enumerate(bars.values()):
        _group(axis, place, ratios)
    axis.set_title(results.benchmark, fontsize=11, loc="left", color="#333333")
    axis.set_yscale("log")
    axis.margins(x=0.02)
    axis.set_ylim(top=max(1, *(max(ratios.values()) for ratios in bars.values())) * _LABEL_ROOM)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(range(len(bars)), list(bars))
    axis.tick_params(length=0, labelsize=9.5)
    axis.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.axhline(1, color=_COLOURS[REFERENCE], linewidth=1)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _group(axis: Axes, place: int, ratios: Mapping[str, float]) -> None:
    width = _GROUP_WIDTH / len(ratios)
    for number, (library, ratio) in enumerate(ratios.items()):
        x = place + (number - (len(ratios) - 1) / 2) * width
        # from the line of the reference, up or down
        axis.bar(x, ratio - 1, width * 0.92, bottom=1, color=_COLOURS.get(library, "#888888"))
        axis.annotate(
            f"{ratio:.2g}",
            (x, ratio),
            xytext=(0, 2 if ratio >= 1 else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if ratio >= 1 else "top",
            fontsize=7.5,
            color="#333333",
        )


def _legend(figure: Figure, libraries: Iterable[str]) -> None:
    patches = [Patch(color=_COLOURS.get(library, "#888888"), label=library) for library in libraries]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
