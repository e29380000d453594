"""Which of the constructed weights are trained.

What tokens are matched by stays as it was built: codes and slots, which nothing else may write into, and the keys.
Trained too, they were soon too noisy to tell the passages of a long book apart (docs/tiny-model.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.recipes.layout import Layout
from farspan.recipes.shapes import Shape


def shares(shape: Shape) -> dict[str, Tensor]:
    """By the name of a weight, 1.0 where training may change it and 0.0 where it may not; other weights are free."""
    writable, still = open_dims(Layout(shape.width, shape.code)), torch.zeros(1, 1)
    share = {"model.embed_tokens.weight": writable[None, :]}
    for layer, heads in enumerate(shape.plan):
        name = f"model.layers.{layer}"
        share[f"{name}.self_attn.o_proj.weight"] = share[f"{name}.mlp.down_proj.weight"] = writable[:, None]
        share[f"{name}.self_attn.k_proj.weight"] = still
        share[f"{name}.input_layernorm.weight"] = still[0]
        writers = [head for head, kind in heads.items() if kind.startswith(("write", "bundle"))]
        if writers:
            share[f"{name}.self_attn.v_proj.weight"] = still
            rows = torch.ones(shape.heads, shape.head, 1)
            rows[writers] = 0.0
            share[f"{name}.self_attn.q_proj.weight"] = rows.flatten(0, 1)
    return share


def open_dims(layout: Layout) -> Tensor:
    """1.0 for the dims of the residual stream that hold neither a code nor the constant."""
    dims = torch.zeros(layout.width)
    dims[layout.code : layout.token] = 1.0
    return dims
