"""EM-LLM (Fountas et al. 2024): the text in events, recalled by likeness and by nearness in time."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.attention_mass import MostAttended
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import PART, Numbers
from farspan.methods.parts.positions.far import FAR
from farspan.methods.parts.segment.surprise import Events
from farspan.methods.parts.select.similar_events import SimilarEvents

_REFINEMENT = {"none": None, "modularity": "modularity", "conductance": "conductance"}


@method(
    paper="Fountas et al. 2024, Human-inspired Episodic Memory for Infinite Context LLMs (arXiv 2407.09450)",
    overflow="recalls",
    needs=("the logits of every token that is read",),
)
def em_llm(
    *,
    n_init: int | None = None,
    n_local: int | None = None,
    n_mem: int | None = None,
    surprisal_threshold_gamma: float = 1.0,
    min_block_size: int | None = None,
    max_block_size: Annotated[int | None, Numbers(2)] = None,
    repr_topk: int = 4,
    refinement: str = "none",
    contiguity: Annotated[float, PART] = 0.3,
    exc_block: int | None = None,
    positions: str = "capped",
) -> dict[str, Part]:
    """Cut the text into events where the model is surprised, read or written, and store each with what stands for it;
    every chunk of queries recalls the events like it, and for some steps their neighbours in time.

    The authors' numbers for Mistral are `n_init` 128, `n_local` 4,096, `n_mem` 2,048 tokens recalled, events of 8 to
    128 tokens, `repr_topk` 4, `exc_block` 512 (queries in one lookup), and a share of 0.3 of what is recalled for
    neighbours; None scales lengths down with a smaller window (and `n_local` to half of it, as in infllm).
    `refinement`: "modularity" and "conductance" move each boundary to where it parts the keys best ("none" is the
    authors' configuration; they report both). As in infllm, query heads that share a KV head share what stands for an
    event. Tokens are stored one by one, since events differ in length, so with `int8` and `int4` a key shares a grid
    among its own channels, as a value does.
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": Events(
            surprisal_threshold_gamma,
            min_block_size,
            max_block_size,
            choice("refinement", refinement, _REFINEMENT),
        ),
        "index": MostAttended(repr_topk),
        "select": SimilarEvents(n_mem, contiguity, exc_block),
        "positions": choice("positions", positions, FAR),
    }
