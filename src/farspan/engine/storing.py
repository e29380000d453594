"""How tokens that leave the window become rows of a layer's arenas; nothing is moved here.

Shapes: G KV heads, S tokens at hand, N blocks, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import Rows
from farspan.cache.recent import Tokens
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.decoding import Surroundings
from farspan.methods.parts.notes import NewBlocks, Notes
from farspan.methods.parts.plan import Plan


class Leaving(NamedTuple):
    """Tokens that leave, the lengths of the blocks that they make, and the keys of all tokens at hand `[G, S, D]`."""

    tokens: Tokens
    blocks: list[int]
    at_hand: tuple[Tensor, ...]


class Stored(NamedTuple):
    """What each arena gets, by its name, and what codec and index then remember of the layer."""

    rows: dict[str, Rows]
    notes: Notes


def store(leaving: Leaving, plan: Plan, arenas: Mapping[str, Arena], notes: Notes, rope: Rope | None) -> Stored:
    """Encode the blocks, and find what stands for them."""
    tokens, arena = leaving.tokens, arenas["blocks"]
    k_GNBD, v_GNBE = (value.unflatten(1, (-1, plan.block)) for value in (tokens.k_GTD, tokens.v_GTE))
    new = NewBlocks(k_GNBD, arena.length, arena.first, leaving.at_hand)
    for part in (plan.codec, plan.index):
        notes = {**notes, **part.before_blocks(notes, new)}
    rows = {"blocks": plan.codec.encode(k_GNBD, v_GNBE, Surroundings(notes, rope))}
    if "index" in arenas:
        rows["index"] = _index_rows(leaving, plan, arenas, rope)
    return Stored(rows, notes)


def _index_rows(leaving: Leaving, plan: Plan, arenas: Mapping[str, Arena], rope: Rope | None) -> Rows:
    """What stands for new blocks, and where they will lie."""
    tokens = leaving.tokens
    length_N = torch.tensor(leaving.blocks, device=tokens.k_GTD.device)
    begin_N = length_N.cumsum(0) - length_N
    within_B = torch.arange(max(leaving.blocks), device=length_N.device)
    at_NB = (begin_N[:, None] + within_B).clamp(max=tokens.length - 1)
    blocked = Tokens(*(value[:, at_NB] for value in tokens))
    rows = plan.index.rows(BlockTokens(*blocked, length_N, rope))
    places = {"start": (arenas["blocks"].length + begin_N // plan.block)[None], "length": length_N[None]}
    return {column.name: {**rows, **places}[column.name] for column in arenas["index"].columns}
