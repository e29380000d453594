"""A Llama whose weights already do, roughly, what training would find last: match what precedes and copy what follows.

Layer 0 writes the codes of the four tokens before each token into slots of the residual stream; two heads of layer 1
copy those slots from four and eight tokens back, which makes twelve. From layer 1 on, heads compare the slots of a
query with those of every key, each in rotary dims of its own, and copy the token they find to the tied embedding.
`trainable` says which weights are trained afterwards. What follows from it: where in the model the copying happens was
chosen, so which layers a method may leave alone says nothing about other models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from farspan.recipes.layout import (
    ANSWER,
    CONSTANT,
    FLAGS,
    MATCHERS,
    QUOTE,
    RESTATE,
    SLOTS,
    WRITERS,
    Gate,
    Layout,
    Marks,
)
from farspan.recipes.shapes import Shape
from farspan.recipes.trainable import open_dims

SHUN = 60.0
"""Nats by which heads put off what they shun: a question's own quotation mark, and the answer itself."""


def model(shape: Shape, marks: Marks, spellings: Sequence[str], *, seed: int) -> LlamaForCausalLM:
    """The model of that shape with the constructed weights; the same seed gives the same weights.

    `spellings` is the text of every token: those that differ in case or in a space before them get one code.
    """
    torch.manual_seed(seed)
    made = LlamaForCausalLM(shape.config(len(spellings)))
    with torch.no_grad():
        _Builder(made, shape, marks).build(spellings)
    return made


class _Builder:
    """Writes the constructed weights; small random values stay where nothing is planted."""

    def __init__(self, made: LlamaForCausalLM, shape: Shape, marks: Marks) -> None:
        self.made, self.shape, self.marks = made, shape, marks
        self.layout = Layout(shape.width, shape.code)
        slow = list(range(shape.fast, shape.pairs))
        middle = len(slow) // 2
        self.gate, self.shun, self.far = slow[middle - 1 : middle + 2]
        content = [pair for pair in slow if pair not in (self.gate, self.shun, self.far)]
        self.own = [self._dims(content[slot::SLOTS]) for slot in range(SLOTS)]

    def build(self, spellings: Sequence[str]) -> None:
        self._embed(spellings)
        writable = open_dims(self.layout)[:, None]
        for layer in self.made.model.layers:
            for name in ("q_proj", "k_proj", "v_proj"):
                getattr(layer.self_attn, name).weight.normal_(0, 0.002)
            layer.self_attn.o_proj.weight.normal_(0, 0.002).mul_(writable)
            layer.mlp.down_proj.weight.normal_(0, 0.001).mul_(writable)
        for layer, heads in enumerate(self.shape.plan):
            self._layer_of(layer, heads)

    def _embed(self, spellings: Sequence[str]) -> None:
        """Random directions of one length, so that normalising scales all tokens alike."""
        lay = self.layout
        embed = self.made.model.embed_tokens.weight
        tokens = torch.randn(embed.shape[0], lay.token)
        tokens[:, :FLAGS] = 0.0
        first = {_word(spelling): token for token, spelling in reversed(list(enumerate(spellings)))}
        alike = [first[_word(spelling)] for spelling in spellings]
        tokens[:, FLAGS : lay.code] = _of_length(tokens[alike, FLAGS : lay.code], math.sqrt(lay.content))
        tokens[:, lay.code :] = _of_length(tokens[:, lay.code :], math.sqrt(lay.token - lay.content))
        tokens[[self.marks.answer, self.marks.quote]] = math.sqrt(lay.token) * torch.eye(lay.token)[:FLAGS]
        embed.zero_()
        embed[:, : lay.token] = tokens
        embed[:, lay.token] = CONSTANT
        self.made.model.norm.weight.fill_(0.15)

    def _layer_of(self, layer: int, heads: dict[int, str]) -> None:
        """Plant what all heads of a layer share, then each head."""
        lay, matching = self.layout, any(kind in MATCHERS for kind in heads.values())
        reach = SLOTS if layer > 1 else WRITERS
        if matching:
            self._keys(layer, reach)
        if layer == 0:
            code = torch.ones(lay.code)
            code[:FLAGS] = math.sqrt(lay.content / lay.token)  # as long as any other code
            self._values(layer)[: lay.code, lay.slot(0)] = code.diag() * math.sqrt(self.shape.power[0])
        for head, kind in heads.items():
            if kind == "write":
                self._look_back(layer, head, head + 1)
                self._out(layer, head)[lay.slot(head + 1), : lay.code] = torch.eye(lay.code)
            elif kind.startswith("bundle"):
                self._bundle(layer, head, int(kind.rpartition("_")[2]))
            elif kind.startswith("restate"):
                self._look_back(layer, head, int(kind.rpartition("_")[2]))
                self._rest(layer, head, RESTATE)
                self._copy(layer, head)
            elif kind == "self":
                self._look_back(layer, head, 0)
                self._out(layer, head)[: lay.token, : lay.token] -= self.shape.forget * torch.eye(lay.token)
            else:
                self._match(layer, head, kind, reach)

    def _keys(self, layer: int, reach: int) -> None:
        """Keys that hold `reach` slots, each in dims of its own; values that hold the token."""
        lay, keys = self.layout, self._attention(layer).k_proj.weight
        for offset in range(1, reach + 1):
            keys[self.own[offset - 1], lay.slot(offset)] = self._content()
        begin = self._direction(self.marks.begin)
        keys[self.gate, : lay.token] = begin
        keys[self.shun, QUOTE] = -1.0 / self._flag(0)
        for place in range(reach):
            keys[self.shun, lay.slot(place).start + ANSWER] = -1.0 / self._flag(place)
        keys[self.far, lay.token] = 1.0 / CONSTANT
        self._values(layer)[: lay.token, : lay.token] = torch.eye(lay.token) - torch.outer(begin, begin)

    def _bundle(self, layer: int, head: int, back: int) -> None:
        """Copy slots 1 to 4 of the token `back` before into the slots that many further on."""
        lay = self.layout
        for offset in range(1, WRITERS + 1):
            start = lay.token + (offset - 1) * lay.code
            rows = slice(start, start + lay.code)
            self._values(layer)[rows, lay.slot(offset)] = torch.eye(lay.code) * math.sqrt(self.shape.power[layer])
            self._out(layer, head)[lay.slot(offset + back), rows] = torch.eye(lay.code)
        self._look_back(layer, head, back)

    def _match(self, layer: int, head: int, kind: str, reach: int) -> None:
        """Point a head's query at keys whose slots hold, shifted, what its own slots hold; copy the token there."""
        lay, matcher, query = self.layout, MATCHERS[kind], self._query(layer, head)
        unit = self.shape.score(layer)
        for shift, nats in matcher.shifts.items():
            for offset, added in enumerate(nats[:reach], 1):
                if (source := offset + shift) <= reach:
                    query[self.own[offset - 1], lay.slot(source)] += added * unit / lay.content * self._content()
        self._rest(layer, head, matcher.gate)
        if matcher.shuns:
            query[self.shun, lay.token] = SHUN * unit / CONSTANT
        query[self.far, lay.token] = -self.shape.far * unit / CONSTANT
        self._copy(layer, head)

    def _copy(self, layer: int, head: int) -> None:
        """Write the token that a head found, but not its code: later layers match by the token's own."""
        copied = slice(self.layout.code, self.layout.token)
        width = self.layout.token - self.layout.code
        self._out(layer, head)[copied, copied] += self.shape.gain[layer] * torch.eye(width)

    def _rest(self, layer: int, head: int, gate: Gate) -> None:
        """Give a head the score of the token that begins all, which a match must beat."""
        lay, row = self.layout, self._query(layer, head)[self.gate]
        unit = self.shape.score(layer) / math.sqrt(lay.token)
        row[lay.token] = gate.base * unit / CONSTANT
        row[: lay.token] += gate.space * unit / math.sqrt(lay.token) * self._direction(self.marks.space)
        for flag, place, nats in gate.flags():
            row[lay.slot(place).start + flag] = nats * unit / self._flag(place)

    def _look_back(self, layer: int, head: int, offset: int) -> None:
        """Make a head attend to the token `offset` before, by the phases of the fast rotary pairs."""
        lay, pairs = self.layout, self.shape.pairs
        size = math.sqrt(self.shape.look * self.shape.score(layer)) / CONSTANT
        keys, query = self._attention(layer).k_proj.weight, self._query(layer, head)
        for pair, speed in enumerate(self.shape.speeds[: self.shape.fast]):
            keys[pair, lay.token] = size
            query[pair, lay.token] = size * math.cos(-offset * speed)
            query[pair + pairs, lay.token] = size * math.sin(-offset * speed)

    def _flag(self, place: int) -> float:
        """How large a flag is in a token itself (place 0) and in a slot."""
        return math.sqrt(self.layout.content if place else self.layout.token)

    def _content(self) -> Tensor:
        """Takes a code (C) as it is, without its flags."""
        kept = torch.eye(self.layout.code)
        kept[:FLAGS] = 0.0
        return kept

    def _dims(self, pairs: list[int]) -> list[int]:
        """The dims of one slot: both of each pair, so that turning a match takes nothing but its cosine."""
        both = [*pairs, *(pair + self.shape.pairs for pair in pairs)]
        assert len(both) >= self.layout.code, "fewer slow rotary dims than the slots need"
        half = self.layout.code // 2
        return both[:half] + both[len(pairs) : len(pairs) + half]

    # -- views of the weights --------------------------------------------------------------------------------------
    def _attention(self, layer: int) -> Any:
        return self.made.model.layers[layer].self_attn

    def _values(self, layer: int) -> Tensor:
        weight: Tensor = self._attention(layer).v_proj.weight
        return weight

    def _query(self, layer: int, head: int) -> Tensor:
        weight: Tensor = self._attention(layer).q_proj.weight
        return weight[head * self.shape.head : (head + 1) * self.shape.head]

    def _out(self, layer: int, head: int) -> Tensor:
        weight: Tensor = self._attention(layer).o_proj.weight
        return weight[:, head * self.shape.head : (head + 1) * self.shape.head]

    def _direction(self, token: int) -> Tensor:
        vector: Tensor = self.made.model.embed_tokens.weight[token, : self.layout.token]
        direction: Tensor = vector / vector.norm()
        return direction


def _of_length(vectors: Tensor, length: float) -> Tensor:
    scaled: Tensor = vectors / vectors.norm(dim=1, keepdim=True) * length
    return scaled


def _word(spelling: str) -> str:
    return spelling.strip().casefold() or spelling
