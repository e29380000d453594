"""One look at a text that fits the window: what one layer attends to, what its keys match, how certain the model is.

The text goes through the model as full attention, chunk by chunk, no further than the layer that is looked at. Nothing
of it stays, and while it lasts it holds the keys and values of this text, as a session would.

Shapes: H query heads, G KV heads, R query heads of a KV head, T tokens of a chunk, S keys, Q rows asked for, D key
width, E value width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farspan.attention.adapter import AttendCall
from farspan.attention.facts import LayerFacts
from farspan.attention.kernels import partial_attention
from farspan.attention.softmax import Scoring, merge
from farspan.attention.visible import Visible
from farspan.cache.recent import Recent
from farspan.engine.folding import Folding
from farspan.engine.model import Model

Floats = NDArray[np.float32]


def attention_rows(model: Model, ids: Sequence[int], first: int, layer: int) -> Floats:
    """What the tokens from number `first` on attend to in a layer: weights `[Q, S]`, summed over the heads."""
    spy = _Rows(model, layer, len(ids), first)
    _run(model, ids, spy)
    return np.concatenate(spy.rows)


def last_products(model: Model, ids: Sequence[int], layer: int) -> Floats:
    """The products of the last token's queries with all keys of a layer, both turned: `[S]`, summed over the heads."""
    spy = _Products(model, layer, len(ids))
    _run(model, ids, spy)
    return spy.products_S


def entropy(model: Model, ids: Sequence[int]) -> float:
    """How uncertain the model is of the token that comes next, in nats: 0 is certain."""
    logits_1V = _run(model, ids, None)
    assert logits_1V is not None
    log_V = logits_1V[-1].float().log_softmax(-1)
    return float(-(log_V.exp() * log_V).nan_to_num(0.0).sum())


class _Enough(Exception):
    """The layer that is looked at has what it needs of a chunk."""


class _Layer:
    """A layer that attends to all that its model lets it see of a text of `length` tokens.

    It holds the newest `holds` of them, keys turned.
    """

    def __init__(self, model: Model, index: int, length: int, holds: int) -> None:
        hosted = model.hosted
        facts: LayerFacts = hosted.facts[index]
        self.index = index
        self.seen = 0
        self._reach = facts.sliding_window
        self._rope = hosted.rope(index, length)
        self._held = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, holds, hosted.dtype, hosted.device)

    @property
    def k_GSD(self) -> Tensor:
        """The keys that are held, turned."""
        return self._held.tokens.k_GTD

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in a chunk and answer it."""
        q_HTD = self._take(q_HTD, k_GTD, v_GTD)
        folding = Folding(len(q_HTD), len(k_GTD), q_HTD.shape[1])
        visible = self._visible(q_HTD.shape[1])
        part = partial_attention(folding.fold(q_HTD), self.k_GSD, self._held.tokens.v_GTE, _scoring(call), visible)
        sink_NM = None
        if call.sinks_H is not None:
            sink_NM = folding.fold(call.sinks_H[:, None, None].expand(*q_HTD.shape[:2], 1)).squeeze(-1)
        return folding.unfold(merge([part], sink_NM).out_NME).to(q_HTD.dtype)

    def _take(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor) -> Tensor:
        """Hold a chunk's keys and values; its turned queries."""
        tokens = q_HTD.shape[1]
        if self._rope is not None:
            table = self._rope.table(torch.arange(self.seen, self.seen + tokens, device=q_HTD.device))
            q_HTD, k_GTD = self._rope.apply(q_HTD, table), self._rope.apply(k_GTD, table)
        self._held.take(max(0, len(self._held) + tokens - self._held.capacity))
        self._held.append(k_GTD, v_GTD)
        self.seen += tokens
        return q_HTD

    def _visible(self, tokens: int) -> Visible:
        """Which of the held keys the chunk's queries see."""
        first = len(self._held) - tokens + 1
        return Visible(tokens, first - (self._reach or self._held.capacity), first)


class _Rows(_Layer):
    """A layer that notes the weights of the tokens from number `first` on."""

    def __init__(self, model: Model, index: int, length: int, first: int) -> None:
        super().__init__(model, index, length, length)
        self._length = length
        self._first = first
        self.rows: list[Floats] = []

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in a chunk, note its weights, and end the forward."""
        q_HTD, tokens = self._take(q_HTD, k_GTD, v_GTD), q_HTD.shape[1]
        wanted = min(tokens, self.seen - self._first)
        if wanted > 0:
            sees_TS = self._visible(tokens).mask(tokens, len(self._held), q_HTD.device)
            weights_QS = self._weights(q_HTD[:, -wanted:], sees_TS[-wanted:], call)
            row_QS = np.zeros((wanted, self._length), dtype=np.float32)
            row_QS[:, : self.seen] = weights_QS.cpu().numpy()
            self.rows.append(row_QS)
        raise _Enough

    def _weights(self, q_HQD: Tensor, mask_QS: Tensor, call: AttendCall) -> Tensor:
        """The softmax weights, one KV head after the other."""
        total_QS = torch.zeros(mask_QS.shape, dtype=torch.float32, device=q_HQD.device)
        shared = len(q_HQD) // len(self.k_GSD)
        for group, k_SD in enumerate(self.k_GSD):
            heads = slice(group * shared, (group + 1) * shared)
            logits_RQS = _scoring(call).logits(q_HQD[heads], k_SD, mask_QS)
            lse_RQ1 = logits_RQS.logsumexp(-1, keepdim=True)
            if call.sinks_H is not None:
                lse_RQ1 = torch.logaddexp(lse_RQ1, call.sinks_H[heads, None, None].float())
            total_QS += (logits_RQS - lse_RQ1).exp().sum(0)
        return total_QS


class _Products(_Layer):
    """A layer that notes the products of its newest queries with all keys."""

    def __init__(self, model: Model, index: int, length: int) -> None:
        super().__init__(model, index, length, length)

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in a chunk, note the products, and end the forward."""
        q_GD = self._take(q_HTD, k_GTD, v_GTD)[:, -1].unflatten(0, (len(k_GTD), -1)).float().sum(1)
        self.products_S: Floats = torch.einsum("gd,gsd->s", q_GD, self.k_GSD.float()).cpu().numpy()
        raise _Enough


def _run(model: Model, ids: Sequence[int], spy: _Rows | _Products | None) -> Tensor | None:
    """Run a text through the model, up to the layer that spies; without one, the last token's logits `[1, V]`."""
    facts, logits = model.hosted.facts, None
    layers = [_passing(model, index, len(ids)) for index in range(len(facts) if spy is None else spy.index)]
    handlers = layers if spy is None else [*layers, *[spy] * (len(facts) - spy.index)]
    for start in range(0, len(ids), model.chunk):
        model.runner.give_way()
        part = torch.tensor(ids[start : start + model.chunk], device=model.hosted.device)
        last = spy is None and start + len(part) == len(ids)
        try:
            logits = model.hosted.forward(part, start, handlers, "last" if last else None)
        except _Enough:
            continue
    return logits


def _passing(model: Model, index: int, length: int) -> _Layer:
    """A layer on the way to the one that is looked at: of a sliding window it holds what a chunk can see."""
    reach = model.hosted.facts[index].sliding_window
    return _Layer(model, index, length, length if reach is None else min(length, reach + model.chunk))


def _scoring(call: AttendCall) -> Scoring:
    return Scoring(call.scaling, call.softcap)
