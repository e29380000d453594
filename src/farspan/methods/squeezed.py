"""Squeezed Attention (Hooper et al. 2024): keys in clusters, and a threshold on their attention (arXiv 2411.09688,
section 3)."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.key_clusters import KeyClusters
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import PART
from farspan.methods.parts.positions.far import FAR_OR_TRUE
from farspan.methods.parts.segment.stretches import Stretches
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.select.share_threshold import ShareThreshold

_POSITIONS = {name: FAR_OR_TRUE[name] for name in ("capped", "true")}


@method(
    paper="Hooper et al. 2024, Squeezed Attention: Accelerating Long Context Length LLM Inference (arXiv 2411.09688)",
    overflow="recalls",
)
def squeezed(
    *,
    sparsity: Annotated[float, PART] = 0.7,
    clusters: Annotated[float, PART] = 0.05,
    coarse_clusters: Annotated[float, PART] = 0.0,
    coarse_sparsity: Annotated[float, PART] = 0.5,
    segment: int | None = None,
    observation_window: int = 100,
    n_init: int | None = None,
    n_local: int | None = None,
    positions: str = "capped",
    when: str = "answering",
) -> dict[str, Part]:
    """Cluster keys that point the same way, and compare a query with the centroids only. Every head meets the keys of
    all clusters that would draw more attention than one threshold, which lets the last queries of what was read keep a
    part 1 - `sparsity` of all keys: heads and layers that look at much keep much.

    The authors report a `sparsity` of 0.5 to 0.9, `clusters` of 0.05 (a share of the number of tokens) and 100 queries
    to find the threshold by, which count in the budget. Nothing is limited to a number of tokens: what a step reads
    grows with the text, as its part 1 - `sparsity` does, and in memory that stays the same; as keys are fetched one by
    one for each head, writing takes longer than by full attention (at 64K tokens two and a half times as long,
    docs/benchmarks.md). Their context is fixed and clustered as a whole beforehand; here each `segment` of tokens is
    clustered by itself when it is stored (None: a quarter of the model's window, 2,048 at most), from keys before their
    rotation, by a k-means++ whose draws are the same every time. The threshold is found anew with every chunk that is
    read, and in chats and long answers once an eighth more is stored: by the last `observation_window` queries,
    whichever chunks they came in, in steps of a 32nd of an octave, which takes two looks at all centroids; all query
    heads of all layers share it, as in the paper. Each of them chooses for itself; queries that are worked on together,
    up to 32, choose by their mean share (one when writing). First and recent tokens, `n_init` and `n_local`, are always
    met. `when` is "answering" as in the paper, where reading is done
    before; "both" chooses while reading too.

    With `coarse_clusters`, a share such as 0.01, the paper's hierarchical lookup: centroids are clustered again, a
    step's queries are compared with the few coarse centroids first, and with the others only where these reach a
    threshold of their own, by which `coarse_sparsity` of the keys fall away. As in the authors' code a key is met that
    both thresholds let through, and the finer one is found as if there were no coarser. At 64K tokens of the bundled
    model it saves no time that could be measured: fetching takes nearly all of it.

    Tokens are stored one by one, so with `int8` and `int4` a key shares a grid among its own channels, as a value does.
    `positions`: "capped" meets far keys at distance `n_local`, where the centroids are compared; "true" is the paper's,
    for models whose positions reach as far as the text (beyond the trained window they are untrained).
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": Stretches(segment),
        "index": KeyClusters(segment, clusters, observed=observation_window, coarse_share=coarse_clusters),
        "select": ShareThreshold(sparsity, coarse_sparsity if coarse_clusters else None, choice("when", when, TIMES)),
        "positions": choice("positions", positions, _POSITIONS),
    }
