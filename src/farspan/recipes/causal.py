"""Causal attention for training: by rows of blocks (on a CPU faster than the fused kernel), and with strangers.

Strangers: a query that is asked something also sees the keys of all other texts in the batch and the best of earlier
batches, all at one far distance, as block retrieval will show it the blocks of a text of any length. So a match must
stand out among tens of thousands of keys, not among the thousand of its own window. The idea is that of Focused
Transformer (https://arxiv.org/abs/2307.03170).

Legend: B = batch, H = query heads, G = KV heads, T = tokens, W = head width, N = asked queries of one text,
S = all tokens of the batch, K = kept keys that one query sees.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

NAME = "farspan_causal_rows"
ROWS = 256


class Past:
    """The turned-back keys and the values of the last `batches` batches, by layer; a query sees its best of them."""

    def __init__(self, batches: int = 5, best: int = 32) -> None:
        self._kept: dict[int, deque[tuple[Tensor, Tensor]]] = defaultdict(lambda: deque(maxlen=batches))
        self._best = best

    def remember(self, layer: int, keys_GSW: Tensor, values_GSW: Tensor) -> None:
        """Keep a batch, and let the oldest go."""
        self._kept[layer].append((keys_GSW.detach().clone(), values_GSW.detach().clone()))

    def state_dict(self) -> dict[int, list[tuple[Tensor, Tensor]]]:
        """All that is kept, by layer, oldest first."""
        return {layer: list(kept) for layer, kept in self._kept.items()}

    def load_state_dict(self, kept: dict[int, list[tuple[Tensor, Tensor]]]) -> None:
        """Keep what `state_dict` gave, and nothing else."""
        self._kept.clear()
        for layer, batches in kept.items():
            self._kept[layer].extend(batches)

    def look_alikes(self, layer: int, query_BHNW: Tensor) -> tuple[Tensor, Tensor]:
        """For each query the kept keys of highest score and their values, (B, H, N, K, W) both; K is 0 at first."""
        texts, heads, asked, width = query_BHNW.shape
        if not self._kept[layer]:
            none = query_BHNW.new_zeros(texts, heads, asked, 0, width)
            return none, none
        keys, values = (torch.cat(parts, 1) for parts in zip(*self._kept[layer], strict=True))
        keys, values = (kept.repeat_interleave(heads // len(kept), 0) for kept in (keys, values))
        rows = query_BHNW.detach().transpose(0, 1).reshape(heads, -1, width)
        best = (rows @ keys.transpose(-1, -2)).topk(self._best, -1).indices  # (H, B * N, K)
        head = torch.arange(heads, device=best.device)[:, None, None]
        shape = (heads, texts, asked, self._best, width)
        return keys[head, best].view(shape).transpose(0, 1), values[head, best].view(shape).transpose(0, 1)


@dataclass(frozen=True, slots=True)
class Strangers:
    """The places (B, N) whose queries see other texts, which see which (B, B), which see no past (B), how far.

    `speeds` (W / 2) are the radians a token of the model's rotary pairs.
    """

    asked: Tensor
    seen: Tensor
    alone: Tensor
    distance: int
    past: Past
    speeds: Tensor


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: None,
    scaling: float,
    strangers: Strangers | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query (B, H, T, W), key and value (B, G, T, W) -> (B, T, H, W); every token sees itself and all before it."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    tokens = query.shape[2]
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(1)
    rows = []
    for start in range(0, tokens, ROWS):
        end = min(start + ROWS, tokens)
        scores = (query[:, :, start:end] @ key[:, :, :end].transpose(-1, -2)).float() * scaling
        weights = scores.masked_fill(later[start:end, :end], float("-inf")).softmax(-1)
        rows.append(weights.to(value.dtype) @ value[:, :, :end])
    out_BTHW = torch.cat(rows, 2).transpose(1, 2).contiguous()
    layer = int(getattr(module, "layer_idx", 0))
    if strangers is not None and layer > 0:
        out_BTHW = _among_strangers(layer, out_BTHW, query, key, value, scaling, strangers, groups)
    return out_BTHW, None


def _among_strangers(
    layer: int,
    out_BTHW: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    strangers: Strangers,
    groups: int,
) -> Tensor:
    """Attend once more, for the asked queries only, to the own text up to them and to all of the other texts."""
    texts, heads, tokens, width = key.shape
    places = torch.arange(tokens, device=key.device)
    asked_BN = strangers.asked
    at = (torch.arange(texts, device=key.device)[:, None], asked_BN)
    asked_BHNW = query.transpose(1, 2)[at].transpose(1, 2)
    near_BHNT = (asked_BHNW @ key.transpose(-1, -2)).float() * scaling
    near_BHNT = near_BHNT.masked_fill(places > asked_BN[:, None, :, None], float("-inf"))
    turned_BHNW = _turn(asked_BHNW, (strangers.distance - asked_BN)[:, None], strangers.speeds)
    far_HSW = _turn(key, -places, strangers.speeds).transpose(0, 1).reshape(heads, texts * tokens, width)
    values_HSW = value.transpose(0, 1).reshape(heads, texts * tokens, width)
    far = turned_BHNW.transpose(0, 1).reshape(heads, -1, width) @ far_HSW.transpose(-1, -2)
    hidden_BBT = (~strangers.seen)[:, :, None].expand(texts, texts, tokens) | (places == 0)
    far_BHNS = far.view(heads, texts, -1, texts * tokens).transpose(0, 1).float() * scaling
    far_BHNS = far_BHNS.masked_fill(hidden_BBT.reshape(texts, 1, 1, texts * tokens), float("-inf"))
    past_BHNKW, past_values_BHNKW = strangers.past.look_alikes(layer, turned_BHNW)
    past_BHNK = (turned_BHNW[..., None, :] * past_BHNKW).sum(-1).float() * scaling
    past_BHNK = past_BHNK.masked_fill(strangers.alone[:, None, None, None], float("-inf"))
    weights = torch.cat((near_BHNT, far_BHNS, past_BHNK), -1).softmax(-1).to(value.dtype)
    near, far, past = weights.split((tokens, texts * tokens, past_BHNK.shape[-1]), -1)
    strange = far.transpose(0, 1).reshape(heads, -1, texts * tokens) @ values_HSW
    found_BHNW = near @ value + strange.view(heads, texts, -1, width).transpose(0, 1)
    found_BHNW = found_BHNW + (past[..., None] * past_values_BHNKW).sum(-2)
    strangers.past.remember(layer, far_HSW[::groups], values_HSW[::groups])
    return out_BTHW.index_put(at, found_BHNW.transpose(1, 2).to(out_BTHW.dtype))


def _turn(states: Tensor, places: Tensor, speeds: Tensor) -> Tensor:
    """Rotate states (..., T, W) on by `places` (..., T), as if each stood that much later."""
    angles = places[..., None].float() * speeds
    cos, sin = torch.cat((angles.cos(),) * 2, -1), torch.cat((angles.sin(),) * 2, -1)
    first, second = states.float().chunk(2, -1)
    return (states.float() * cos + torch.cat((-second, first), -1) * sin).to(states.dtype)


def register() -> str:
    """Make `attend` known to transformers, and give its name."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
    return NAME
