"""SirLLM (Yao et al. 2024): surprising tokens stay."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.surprising import Surprising
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Yao et al. 2024, SirLLM: Streaming Infinite Retentive LLM (arXiv 2405.12528)",
    overflow="forgets",
    needs=("the logits of every token that is read",),
)
def sirllm(
    *,
    capacity: int | None = None,
    start_size: int = 4,
    recent: int = 1,
    decay: float = 1.0,
    positions: str = "compact",
) -> dict[str, Part]:
    """Keep the first `start_size` tokens and those that surprised the model most when it read them, the same for all
    layers and heads. What surprised it in earlier turns of a chat counts `decay` times as much with every answer.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. `recent` tokens stay. The paper chooses
    between turns, with a decay of 1, .9 or .7 for different chats; here whenever the room is full. Kept tokens are
    counted 0, 1, 2, ... as in the paper, so that no position is untrained; `positions=true` leaves them where they were
    in the text, for texts that fit the model's window.
    """
    return {
        "keep": BestTokens(Surprising(decay), capacity, start_size, recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
