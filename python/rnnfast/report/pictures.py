"""Pictures of a page: drawn into axes, kept as PNG."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PIXELS = 96  # of CSS in an inch
SHARPNESS = 2  # pixels of the file for one of CSS, for screens that have as many
WIDTH, HEIGHT = 4.8, 3.2  # inches: on a screen of 400 pixels letters keep 80 % of their size
WIDEST = 11.0  # inches: the width of the page's text on large screens


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a picture shows, in words, and how it is drawn.

    Attributes
    ----------
    title : str
        Stands above it.
    alt : str
        What is to be seen, for those who do not see it.
    draw : function of axes
        Draws.
    width, height : float
        Size in inches. Pictures wider than ``WIDTH`` keep their size on narrow screens, which scroll them.
    """

    title: str
    alt: str
    draw: Callable[[Any], object]
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def is_wide(self) -> bool:
        """Whether the picture keeps its size on narrow screens."""
        return self.width > WIDTH


def available() -> bool:
    """Return whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def png(picture: Picture) -> bytes:
    """Draw a picture in matplotlib's default style, whatever the user's is."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with style.context("default"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        size = (picture.width, picture.height)
        figure = Figure(figsize=size, dpi=SHARPNESS * PIXELS, layout="constrained")
        picture.draw(figure.add_subplot())
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(buffer, metadata={"Software": None})  # savefig draws twice
    return buffer.getvalue()
