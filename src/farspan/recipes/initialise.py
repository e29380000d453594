"""A Llama whose weights already do, roughly, what training would find last: match what precedes and copy what follows.

Layer 0 writes the codes of the four tokens before each token into slots of the residual stream; a head of layer 1
copies those slots from four tokens back, which makes eight. From layer 1 on, heads compare the slots of a query with
those of every key, through the slow rotary pairs, which hardly turn inside the window, and copy the token they find to
the tied embedding. Every weight is trained afterwards. What follows from it: where in the model the copying happens was
chosen, so which layers a method may leave alone says nothing about other models.

Legend: D = width of the residual stream, E = dims that hold the token itself, C = dims of one code, W = head width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from farspan.recipes.layout import CONSTANT, FLAGS, GATES, NATS, QUOTE, SHIFTS, SLOTS, THETA, WRITERS, Layout, Marks
from farspan.recipes.shapes import Shape

SHUN = 40.0
"""Nats by which the heads of quotes shun quotation marks: the question's own closing one has the quote before it."""


def model(shape: Shape, marks: Marks, *, vocabulary: int, seed: int) -> LlamaForCausalLM:
    """The model of that shape with the constructed weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    made = LlamaForCausalLM(shape.config(vocabulary))
    with torch.no_grad():
        _Builder(made, shape, marks).build()
    return made


class _Builder:
    """Writes the constructed weights; small random values stay where nothing is planted."""

    def __init__(self, made: LlamaForCausalLM, shape: Shape, marks: Marks) -> None:
        self.made, self.shape, self.marks = made, shape, marks
        self.layout = Layout(shape.width, shape.code)
        self.pairs = pairs = shape.head // 2
        self.speeds = [THETA ** (-i / pairs) for i in range(pairs)]
        slow = next(i for i, speed in enumerate(self.speeds) if speed < 0.0014)
        self.slow = [*range(slow, pairs - 1), *range(pairs + slow, 2 * pairs - 1)]
        self.gate, self.shun = pairs - 1, 2 * pairs - 1

    def build(self) -> None:
        self._embed()
        for layer in self.made.model.layers:
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                getattr(layer.self_attn, name).weight.normal_(0, 0.002)
            layer.mlp.down_proj.weight.normal_(0, 0.005)
        self._writers()
        for layer, heads in enumerate(self.shape.plan):
            if layer > 0:
                self._layer_of(layer, heads)

    def _embed(self) -> None:
        """Random directions of one length, so that normalising scales all tokens alike; and the code of a token."""
        lay = self.layout
        embed = self.made.model.embed_tokens.weight
        tokens = torch.randn(embed.shape[0], lay.token)
        tokens[:, :FLAGS] = 0.0
        tokens[[self.marks.answer, self.marks.quote]] = torch.eye(lay.token)[:FLAGS]
        embed.zero_()
        embed[:, : lay.token] = tokens / tokens.norm(dim=1, keepdim=True) * math.sqrt(lay.token)
        embed[:, lay.token] = CONSTANT
        self.made.model.norm.weight.fill_(0.15)
        self.code = torch.zeros(lay.code, lay.token)  # (C, E)
        self.code[:FLAGS, :FLAGS] = torch.eye(FLAGS)
        self.code[FLAGS:, FLAGS:] = torch.linalg.qr(torch.randn(lay.token - FLAGS, lay.code - FLAGS))[0].T

    def _writers(self) -> None:
        """Layer 0: each head writes the code of the token 1, 2, 3 or 4 before into its slot."""
        lay = self.layout
        for head in range(WRITERS):
            _, values = self._keys_and_values(0, head)
            values[: lay.code, : lay.token] = self.code
            self._look_back(0, head, head + 1)
            self._out(0, head)[lay.slot(head + 1), : lay.code] = torch.eye(lay.code)

    def _layer_of(self, layer: int, heads: dict[int, str]) -> None:
        """Plant each KV head's matchers, then the heads that look at one place."""
        share = self.shape.heads // self.shape.kv_heads
        reach = WRITERS if "near" in heads.values() else SLOTS
        for group in range(self.shape.kv_heads):
            members = {head: kind for head, kind in heads.items() if head // share == group and kind in SHIFTS}
            if members:
                self._match(layer, reach, members)
        token = self.layout.token
        for head, kind in heads.items():
            if kind == "bundle":
                self._bundle(layer, head)
            elif kind == "self":
                self._look_back(layer, head, 0)
                self._out(layer, head)[:token, :token] -= self.shape.forget * torch.eye(token)

    def _bundle(self, layer: int, head: int) -> None:
        """Copy slots 1 to 4 of the token four before into slots 5 to 8."""
        lay = self.layout
        _, values = self._keys_and_values(layer, head)
        first = lay.token if lay.token + WRITERS * lay.code <= self.shape.head else 0
        for offset in range(1, WRITERS + 1):
            start = first + (offset - 1) * lay.code
            rows = slice(start, start + lay.code)
            values[rows, lay.slot(offset)] = torch.eye(lay.code)
            self._out(layer, head)[lay.slot(offset + WRITERS), rows] = torch.eye(lay.code)
        self._look_back(layer, head, WRITERS)

    def _match(self, layer: int, reach: int, heads: dict[int, str]) -> None:
        """Keys that hold `reach` slots, each turned its own way; values that hold the token."""
        lay = self.layout
        keys, values = self._keys_and_values(layer, min(heads))
        mixers = [torch.linalg.qr(torch.randn(len(self.slow), lay.code))[0] for _ in range(reach)]
        for offset, mixer in enumerate(mixers, 1):
            mixer[:, :FLAGS] = 0.0
            keys[self.slow, lay.slot(offset)] = mixer
        begin = self._direction(self.marks.begin)
        keys[self.gate, : lay.token] = begin
        keys[self.shun, QUOTE] = -1.0
        values[: lay.token, : lay.token] = torch.eye(lay.token) - torch.outer(begin, begin)
        for head, kind in heads.items():
            for shift in SHIFTS[kind]:
                self._aim(layer, head, shift, mixers)
            self._rest(layer, head, kind)
            self._out(layer, head)[: lay.token, : lay.token] += self.shape.gain[layer] * torch.eye(lay.token)

    def _aim(self, layer: int, head: int, shift: int, mixers: list[Tensor]) -> None:
        """Point a head's query at keys whose slots, `shift` places on, hold what its own slots hold."""
        lay, query = self.layout, self._query(layer, head)
        for offset, mixer in enumerate(mixers, 1):
            source = offset + shift
            if source > len(mixers) or (shift == 0 and offset == 1):
                continue
            gain = NATS[offset - 1] * self.shape.power[layer] * math.sqrt(self.shape.head) / lay.code
            if source == 0:
                query[self.slow, : lay.token] += gain * mixer @ self.code
            else:
                query[self.slow, lay.slot(source)] += gain * mixer

    def _rest(self, layer: int, head: int, kind: str) -> None:
        """Give a head the score of the token that begins all, which a match must beat."""
        lay, gate = self.layout, GATES[kind]
        row = self._query(layer, head)[self.gate]
        per_nat = math.sqrt(self.shape.head) * self.shape.power[layer] / math.sqrt(lay.token)
        unit = per_nat / math.sqrt(lay.token)
        row[lay.token] = gate.base * per_nat / CONSTANT
        row[: lay.token] += gate.space * unit * self._direction(self.marks.space)
        if kind in ("quote", "bridge"):
            self._query(layer, head)[self.shun, lay.token] = SHUN * per_nat / CONSTANT
        for flag, place, nats in gate.flags():
            at = flag if place == 0 else lay.slot(place).start + flag
            row[at] = nats * unit

    def _look_back(self, layer: int, head: int, offset: int) -> None:
        """Make a head attend to the token `offset` before, by the phases of the fast rotary pairs."""
        lay = self.layout
        size = math.sqrt(self.shape.look * self.shape.power[layer] * math.sqrt(self.shape.head)) / CONSTANT
        keys, _ = self._keys_and_values(layer, head)
        query = self._query(layer, head)
        for i, speed in enumerate(self.speeds):
            if speed > 0.1:
                keys[i, lay.token] = size
                query[i, lay.token] = size * math.cos(-offset * speed)
                query[i + self.pairs, lay.token] = size * math.sin(-offset * speed)

    # -- views of the weights --------------------------------------------------------------------------------------
    def _attention(self, layer: int) -> Any:
        return self.made.model.layers[layer].self_attn

    def _keys_and_values(self, layer: int, head: int) -> tuple[Tensor, Tensor]:
        """The weights of the KV head that a query head reads."""
        group = head // (self.shape.heads // self.shape.kv_heads)
        rows = slice(group * self.shape.head, (group + 1) * self.shape.head)
        return self._attention(layer).k_proj.weight[rows], self._attention(layer).v_proj.weight[rows]

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
