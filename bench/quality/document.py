"""Parts of a document that a report makes: tables, plots, and the part of the text that is made anew."""

import re
from pathlib import Path

import matplotlib

# Middling, which is read on white and on black.
INK = "#808890"

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "tunesmith", "font.size": 8, "font.family": "sans-serif", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False,
})


def table(head: list, rows: list) -> list:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def save(figure, path: Path) -> None:
    """Writes a plot as SVG."""
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    text = path.read_text()
    # A tenth of a point is more than a screen shows, and a third of the file. Labels are text, not within a tag.
    in_tag = re.compile(r"<[^>]*>")
    shorter = in_tag.sub(lambda tag: re.sub(r"-?\d+\.\d{2,}", lambda x: f"{float(x[0]):.1f}".removesuffix(".0"), tag[0]), text)
    path.write_text(shorter)


def rewrite(document: Path, lines: list) -> None:
    """Puts lines between the markers of a document. What a person wrote around them stays."""
    text = document.read_text()
    before, begin, rest = text.partition("<!-- begin: made by make")
    name, close, rest = rest.partition(" -->")
    made, end, after = rest.partition("<!-- end: made by make")
    if not end:
        raise ValueError(f"{document} has no markers")
    document.write_text(before + begin + name + close + "\n\n" + "\n".join(lines) + "\n" + end + after)
