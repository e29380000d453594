"""ThinK (Xu et al. 2024): keys are stored without the channels that queries hardly look at."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.codec.pruned_channels import PrunedChannels
from farspan.methods.parts.method import method
from farspan.methods.parts.numbers import Numbers


@method(
    paper="Xu et al. 2024, ThinK: Thinner Key Cache by Query-Driven Pruning (arXiv 2407.21018)", overflow="compresses"
)
def think(
    *, ratio: Annotated[float, Numbers(0, 1, above=True, below=True)] = 0.4, queries: int = 32
) -> dict[str, Part]:
    """Store keys without the `ratio` of each head's channels in which the last `queries` queries and the keys are
    smallest. Values and recent tokens stay as they are; alone it is full attention over what is stored.

    Joined to a method that stores blocks it encodes them: `infllm+think`. What is dropped is really gone: of a block's
    keys only the other channels are stored, and which they are. The authors choose once, when the whole prompt has been
    read; here every block chooses by the queries that came before it was stored, one choice for the query heads
    that share a KV head. They prune rotated keys; here keys are stored before their rotation, so the two channels of
    a frequency count as much as their mean and go together, which no rotation changes; channels without rotation
    go two at a time, the least first. Their 32 recent tokens are within any local window.
    """
    return {"codec": PrunedChannels(float(ratio), queries)}
