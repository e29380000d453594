"""Observe how a model's layers attend: a probe of a few tokens, run twice, with and without the model's rotations.

In both runs every token attends to itself alone, so nothing but the rotations can differ between them. What differs
is therefore compared with farspan's own Rope, layer by layer, and a model that farspan would get wrong is refused.

Legend: T tokens, H query heads, G kv heads, D head width, F rotary frequencies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from farspan.attention.bridge import Mask, Port, StillRotary, call_of
from farspan.attention.facts import LayerFacts
from farspan.attention.rope import Rope
from farspan.errors import ModelError

TOKENS = 4
START = 37
_KNOWN = {"position_ids", "cache_position", "s_aux"}


class RopeSource:
    """Reads the frequencies of one rotary module for one layer type, at any length of the stream."""

    def __init__(self, rotary: nn.Module, layer_type: str | None, interleaved: bool = False) -> None:
        self.rotary = rotary
        self.layer_type = layer_type
        self.interleaved = interleaved
        self.base = _base(rotary, layer_type)
        self._last: tuple[int, Rope] | None = None
        short, long = self._read(1), self._read(1 << 22)
        self._varies = not torch.equal(short.inv_freq_F, long.inv_freq_F)

    def rope(self, length: int) -> Rope:
        """The Rope once `length` tokens have been seen; the same object as long as the frequencies are the same."""
        length = max(length, 1) if self._varies else 1
        last = self._last
        if last is None or last[0] != length:
            rope = self._read(length)
            if last is not None and torch.equal(last[1].inv_freq_F, rope.inv_freq_F):
                rope = last[1]
            self._last = last = (length, rope)
        return last[1]

    def _read(self, length: int) -> Rope:
        rotary = _copy(self.rotary)
        kind = {} if self.layer_type is None else {"layer_type": self.layer_type}
        prefix = "" if self.layer_type is None else f"{self.layer_type}_"
        inv_freq_F = getattr(rotary, f"{prefix}inv_freq")
        x = torch.zeros(1, 1, 1, dtype=torch.float32, device=inv_freq_F.device)
        # Position 0 first: a model that has run a long text before still holds that text's frequencies.
        with x.device:  # where rotary modules make tensors without saying where
            for position in (0, length - 1):
                rotary(x, torch.tensor([[position]]), **kind)
        scaling = getattr(rotary, f"{prefix}attention_scaling")
        inv_freq_F = getattr(rotary, f"{prefix}inv_freq").detach().float()
        return Rope(inv_freq_F, float(scaling), self.interleaved, self.base)


def _base(rotary: nn.Module, layer_type: str | None) -> float | None:
    """The rotary base of the layer type, by the model's configuration."""
    parameters = getattr(getattr(rotary, "config", None), "rope_parameters", None) or {}
    base: float | None = (parameters.get(layer_type) or parameters).get("rope_theta")
    return base


def rotary_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that hold rotary frequencies, by their name in the model."""
    return {
        name: module
        for name, module in model.named_modules()
        if any(key.endswith("inv_freq") for key in module._buffers)
    }


def still_rotary(body: nn.Module) -> dict[str, StillRotary]:
    """Put a StillRotary in the place of every rotary module of a twin; gives them by name."""
    stills = {name: StillRotary(_exact(module)) for name, module in rotary_modules(body).items()}
    for name, still in stills.items():
        parent, _, child = name.rpartition(".")
        setattr(body.get_submodule(parent), child, still)
    return stills


def _exact(rotary: nn.Module) -> nn.Module:
    """A copy with float32 frequencies: a model cast as a whole, say by `.bfloat16()`, has rounded ones."""
    if all(buffer.dtype == torch.float32 for buffer in rotary.buffers()):
        return _copy(rotary)
    device = next(rotary.buffers()).device
    return type(rotary)(config=rotary.config).to(device)


def _copy(rotary: nn.Module) -> nn.Module:
    """A rotary module with tensors of its own: reading frequencies at a length changes it."""
    twin = copy.copy(rotary)
    twin._buffers = {name: None if buffer is None else buffer.clone() for name, buffer in rotary._buffers.items()}
    return twin


@dataclass(frozen=True, slots=True)
class Seen:
    """What one layer handed its attention function."""

    q_HTD: Tensor
    k_GTD: Tensor
    v_GTD: Tensor
    mask: Any
    extras: dict[str, Any]


class Watcher(Port):
    """Lets every token attend to itself alone, and notes what the layer handed on."""

    def __init__(self, start: int) -> None:
        super().__init__((), start)
        self.seen: Seen | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, extras: dict[str, Any]) -> Tensor:
        """Every token's own value."""
        if self.seen is not None:
            raise ModelError("its attention uses one layer's keys and values more than once")
        self.seen = Seen(q[0], k[0], v[0], mask, extras)
        return v.repeat_interleave(q.shape[1] // k.shape[1], dim=1)


def probe(
    body: Any, stills: dict[str, StillRotary], run: Callable[..., Any]
) -> tuple[tuple[LayerFacts, ...], dict[str, RopeSource]]:
    """The facts of every layer, and the rope sources by kind. Raises ModelError for what farspan would get wrong."""
    config = body.config.get_text_config(decoder=True)
    layers = config.num_hidden_layers
    ids_T = torch.arange(TOKENS, device=body.get_input_embeddings().weight.device)
    turned, still = ([Watcher(start) for _ in range(layers)] for start in (START, 0))
    with torch.no_grad():
        run(body, ids_T[None], [START], turned, "last")
        for rotary in stills.values():
            rotary.turning = False
        run(body, ids_T[None], [0], still, "last")
    ropes = {
        _name(name, layer_type, interleaved): RopeSource(rotary.source, layer_type, interleaved)
        for name, rotary in stills.items()
        for layer_type in rotary.widths
        for interleaved in (False, True)
    }
    types = getattr(config, "layer_types", None) or [None] * layers
    facts = tuple(_facts(i, types[i], turned[i].seen, still[i].seen, ropes) for i in range(layers))
    used = {fact.rope_kind for fact in facts}
    return facts, {kind: source for kind, source in ropes.items() if kind in used}


def _name(rotary: str, layer_type: str | None, interleaved: bool) -> str:
    return ":".join(part for part in (rotary.partition(".")[2], layer_type, "interleaved" * interleaved) if part)


def _facts(
    index: int, layer_type: str | None, turned: Seen | None, still: Seen | None, ropes: dict[str, RopeSource]
) -> LayerFacts:
    if turned is None or still is None:
        raise ModelError(f"layer {index} has no attention of its own")
    if not still.v_GTD.isfinite().all():
        raise ModelError(f"layer {index} gives values that are not finite", fix="load it in bfloat16 or float32")
    if not close(still.v_GTD, turned.v_GTD):
        raise ModelError("it uses positions in other places than its rotary module")
    if unknown := {name for name, value in still.extras.items() if isinstance(value, Tensor)} - _KNOWN:
        raise ModelError(f"it hands its attention {', '.join(sorted(unknown))}, which farspan does not know")
    call = call_of(still.q_HTD, still.extras)
    return LayerFacts(
        index=index,
        q_heads=still.q_HTD.shape[0],
        kv_heads=still.k_GTD.shape[0],
        key_dim=still.k_GTD.shape[-1],
        value_dim=still.v_GTD.shape[-1],
        scaling=call.scaling,
        sliding_window=_window(still.mask),
        rope_kind=_kind(index, layer_type, still, turned, ropes),
        softcap=call.softcap,
        has_sinks=call.sinks_H is not None,
    )


def _window(mask: Any) -> int | None:
    """The sliding window of a mask, None for plain causal; refuses any other rule."""
    if not isinstance(mask, Mask):
        raise ModelError("it makes its attention mask by itself")
    reach = mask.reach or 0
    zero = torch.tensor(0, device="cpu")
    for query in (3 * reach + 40, 3 * reach + 41 + reach // 2):
        keys = torch.arange(query + 2, device="cpu")
        expected = (keys <= query) & ((keys > query - reach) if reach else (keys >= 0))
        if not torch.equal(mask.sees(zero, zero, zero + query, keys).expand_as(keys), expected):
            raise ModelError("its attention mask is neither causal nor a sliding window")
    return mask.reach


def _kind(index: int, layer_type: str | None, still: Seen, turned: Seen, ropes: dict[str, RopeSource]) -> str | None:
    """Which rope turns the un-rotated q and k of the one run into the rotated ones of the other."""
    pairs = ((still.q_HTD, turned.q_HTD), (still.k_GTD, turned.k_GTD))
    if all(close(a, b) for a, b in pairs):
        return None
    positions_T = torch.arange(START, START + TOKENS, device=still.q_HTD.device)
    # Two layer types may have equal frequencies here and not further on: the layer's own type goes first.
    for kind, source in sorted(ropes.items(), key=lambda item: item[1].layer_type != layer_type):
        rope = source.rope(START + TOKENS)
        if rope.width <= still.q_HTD.shape[-1] and all(close(rope.rotate(a, positions_T), b) for a, b in pairs):
            return kind
    raise ModelError(f"layer {index} turns its queries and keys in a way that farspan does not know")


def close(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two ways to compute the same gave the same."""
    # Room for rounding and for sums in another order; a wrong rotation is off by the size of the vectors themselves.
    bound = max(4 * torch.finfo(theirs.dtype).eps, 1e-4)
    return bool((ours - theirs).float().norm() <= bound * theirs.float().norm())
