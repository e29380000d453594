"""StreamingLLM (Xiao et al. 2023): attention sinks and a window of recent tokens."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import SinksAndWindow
from farspan.methods.parts.method import method
from farspan.methods.parts.positions.compact import CompactPositions
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks (arXiv 2309.17453)",
    overflow="forgets",
)
def streaming(*, start_size: int = 4, recent_size: int | None = None) -> dict[str, Part]:
    """Keep the first `start_size` tokens, on which attention leans, and the last `recent_size`; positions are counted
    inside this cache. The loss stays flat without end, and everything between is forgotten.

    Defaults are the authors': 4 sinks, and with them a cache as long as the model's window (4 + 4092 for 4,096).
    """
    return {
        "keep": SinksAndWindow(start_size, recent_size),
        "positions": CompactPositions("hidden"),
        "select": Nothing(),
    }
