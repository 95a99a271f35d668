"""The throughputs as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from tools.bench.bars import REFERENCE, Groups, groups
from tools.bench.results import Results

_COLOURS = {
    "colugo": "#c2410c",
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
    bars = {results.benchmark: found for results in everything if (found := groups(results.rows))}
    lines = [[name for name in line if name in bars] for line in _LINES]
    lines = [line for line in lines if line]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "colugo", "font.family": "sans-serif"})
    figure = Figure(figsize=(11, 0.9 + 3.2 * len(lines)), layout="constrained", facecolor="white")
    figure.suptitle(f"Messages or replies per second, as a multiple of {REFERENCE}'s (logarithmic)")
    parts = figure.subfigures(max(1, len(lines)), 1, squeeze=False)[:, 0]
    for part, line in zip(parts, lines, strict=False):
        _line(part, {name: bars[name] for name in line})
    drawn = {library for its in bars.values() for ratios in its.values() for library in ratios}
    _legend(figure, [library for library in _COLOURS if library in drawn])
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="svg", metadata={"Date": None})


def _line(part: SubFigure, panels: Mapping[str, Groups]) -> None:
    widths = [len(its) for its in panels.values()]
    axes = part.subplots(1, len(panels), squeeze=False, sharey=True, width_ratios=widths)[0]
    for axis, (title, its) in zip(axes, panels.items(), strict=True):
        _panel(axis, its, title)
    ratios = [ratio for its in panels.values() for group in its.values() for ratio in group.values()]
    axes[0].set_ylim(min(1, *ratios) / _LABEL_ROOM, max(1, *ratios) * _LABEL_ROOM)
    axes[0].set_ylabel(f"{REFERENCE} = 1")


def _panel(axis: Axes, bars: Groups, title: str) -> None:
    for place, its in enumerate(bars.values()):
        _group(axis, place, its)
    axis.set_title(title, fontsize=11, loc="left", color="#333333")
    axis.set_yscale("log")
    axis.margins(x=0.02)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(range(len(bars)), list(bars))
    axis.tick_params(which="both", length=0, labelsize=9.5)
    axis.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.axhline(1, color="#64748b", linewidth=1)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _group(axis: Axes, place: int, ratios: Mapping[str, float]) -> None:
    width = _GROUP_WIDTH / len(ratios)
    for number, (library, ratio) in enumerate(ratios.items()):
        x = place + (number - (len(ratios) - 1) / 2) * width
        # from the line of the reference, up or down
        axis.bar(x, ratio - 1, width * 0.92, bottom=1, color=_COLOURS[library])
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
    patches = [Patch(color=_COLOURS[library], label=library) for library in libraries]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
