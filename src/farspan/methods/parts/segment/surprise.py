"""Events: a block begins where the text surprises the model (EM-LLM, arXiv 2407.09450, section 3.2).

Shapes: T tokens of a chunk, N tokens before it, A tokens that leave the window, P tokens of the chunk and of the event
that it goes on with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.errors import MethodError
from farspan.methods.parts.segment.refinement import Quality, refined
from farspan.methods.parts.window_share import window_share


@dataclass(frozen=True, slots=True)
class Events:
    """A token begins an event when its surprise, -log p of it, is more than `gamma` standard deviations above the mean
    of the local window before its chunk.

    With a `quality` every boundary moves to where it parts the keys best. Events have `shortest` to `longest` tokens: a
    shorter one goes on with the next, a longer one is cut. None: 128 at most, a 32nd of the window where that is less
    (but 2), and a 16th of that at least.
    """

    gamma: float = 1.0
    shortest: int | None = None
    longest: int | None = None
    quality: Quality | None = None
    surprise: bool = True

    def resolve(self, window: int) -> Self:
        """Choose the lengths for a model trained on `window` tokens. Raises MethodError where none is between them."""
        longest = max(2, window_share(window, 32, 128)) if self.longest is None else self.longest
        shortest = max(1, longest // 16) if self.shortest is None else self.shortest
        if shortest > longest:
            raise MethodError(
                f"no event has at least {shortest:,} (min_block_size) and at most {longest:,} tokens (max_block_size)",
                fix=f"give min_block_size={longest} or less, or a max_block_size of {shortest} or more",
            )
        return replace(self, shortest=shortest, longest=longest)

    @property
    def row(self) -> int:
        """Tokens are stored one by one, since events differ in length."""
        return 1

    @property
    def lengths(self) -> tuple[int, int]:
        """The shortest and the longest event."""
        assert self.shortest is not None and self.longest is not None
        return self.shortest, self.longest

    @property
    def by_keys(self) -> bool:
        """Whether `marks` wants to know how alike the keys are."""
        return self.quality is not None

    def marks(self, surprise_T: Tensor, before_N: Tensor, similarity_PP: Tensor | None) -> Tensor:
        """Which tokens of a chunk begin an event: `[T]`."""
        known = before_N if before_N.numel() > 1 else surprise_T
        spread = known.std() if known.numel() > 1 else known.new_zeros(())
        mark_T = surprise_T > known.mean() + self.gamma * spread
        if self.quality is None or similarity_PP is None:
            return mark_T
        offset = similarity_PP.shape[0] - mark_T.shape[0]
        return refined(mark_T, similarity_PP, offset, self.lengths[0], self.quality)

    def cut(self, tokens: int, mark_A: Tensor | None) -> list[int]:
        """Lengths of the events that are complete; what the last one has so far waits for the rest of it."""
        assert mark_A is not None
        shortest, longest = self.lengths
        ends = [*torch.nonzero(mark_A[:tokens]).flatten().tolist(), tokens]
        cuts: list[int] = []
        start = 0
        for end in ends:
            while end - start >= longest:
                cuts.append(longest)
                start += longest
            if end != tokens and end - start >= shortest:
                cuts.append(end - start)
                start = end
        return cuts
