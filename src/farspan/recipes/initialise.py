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
from transformers import LlamaConfig, LlamaForCausalLM

from farspan.recipes.layout import CONSTANT, FLAGS, GATES, NATS, SHIFTS, SLOTS, THETA, WRITERS, Layout, Marks

POWER = (0.45, 0.78, 1.2, 1.5)
"""The mean square of the residual stream that each layer meets: scores are divided by it."""
GAIN = (0.0, 0.5, 0.8, 1.2)
"""How strongly the heads of each layer write the token they copy."""
FORGET = 1.2
BRIDGE_LAST = False


def model(shape: LlamaConfig, marks: Marks, *, seed: int) -> LlamaForCausalLM:
    """The model of that shape with the constructed weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    made = LlamaForCausalLM(shape)
    with torch.no_grad():
        _Builder(made, marks).build()
    return made


class _Builder:
    """Writes the constructed weights; small random values stay where nothing is planted."""

    def __init__(self, made: LlamaForCausalLM, marks: Marks) -> None:
        pairs = made.config.head_dim // 2
        self.speeds = [THETA ** (-i / pairs) for i in range(pairs)]
        slow = next(i for i, speed in enumerate(self.speeds) if speed < 0.0014)
        self.slow = [*range(slow, pairs - 1), *range(pairs + slow, 2 * pairs - 1)]
        self.made, self.marks, self.pairs, self.gate = made, marks, pairs, pairs - 1
        self.layout = Layout(made.config.hidden_size, made.config.head_dim)

    def build(self) -> None:
        self._embed()
        for layer in self.made.model.layers:
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                getattr(layer.self_attn, name).weight.normal_(0, 0.002)
            layer.mlp.down_proj.weight.normal_(0, 0.005)
        self._writers()
        self._bundle()
        self._matchers()

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
        self._layer(0).v_proj.weight[: lay.code, : lay.token] = self.code
        for head in range(WRITERS):
            self._look_back(0, head, head + 1)
            self._out(0, head)[lay.slot(head + 1), : lay.code] = torch.eye(lay.code)

    def _bundle(self) -> None:
        """Layer 1, head 0: copy slots 1 to 4 of the token four before into slots 5 to 8."""
        lay = self.layout
        for offset in range(1, WRITERS + 1):
            start = lay.token + (offset - 1) * lay.code
            rows = slice(start, start + lay.code)
            self._layer(1).v_proj.weight[rows, lay.slot(offset)] = torch.eye(lay.code)
            self._out(1, 0)[lay.slot(offset + WRITERS), rows] = torch.eye(lay.code)
        self._look_back(1, 0, WRITERS)

    def _matchers(self) -> None:
        """Layer 1 sees four tokens back, the later layers eight; the last one also takes back the token itself."""
        self._match(1, WRITERS, {1: "next", 2: "same", 3: "quote"})
        last = self.made.config.num_hidden_layers - 1
        for layer in range(2, last):
            self._match(layer, SLOTS, {0: "next", 1: "quote", 2: "same", 3: "bridge"})
        self._match(last, SLOTS, {0: "next", 1: "bridge" if BRIDGE_LAST else "quote", 2: "same"})
        self._look_back(last, 3, 0)
        token = self.layout.token
        self._out(last, 3)[:token, :token] -= FORGET * torch.eye(token)

    def _match(self, layer: int, reach: int, heads: dict[int, str]) -> None:
        """Keys that hold `reach` slots, each turned its own way; values that hold the token."""
        lay, attention = self.layout, self._layer(layer)
        mixers = [torch.linalg.qr(torch.randn(len(self.slow), lay.code))[0] for _ in range(reach)]
        for offset, mixer in enumerate(mixers, 1):
            mixer[:, :FLAGS] = 0.0
            attention.k_proj.weight[self.slow, lay.slot(offset)] = mixer
        begin = self._direction(self.marks.begin)
        attention.k_proj.weight[self.gate, : lay.token] = begin
        attention.v_proj.weight[: lay.token, : lay.token] = torch.eye(lay.token) - torch.outer(begin, begin)
        for head, kind in heads.items():
            for shift in SHIFTS[kind]:
                self._aim(layer, head, shift, mixers)
            self._rest(layer, head, "near" if kind == "next" and reach == WRITERS else kind)
            self._out(layer, head)[: lay.token, : lay.token] += GAIN[layer] * torch.eye(lay.token)

    def _aim(self, layer: int, head: int, shift: int, mixers: list[Tensor]) -> None:
        """Point a head's query at keys whose slots, `shift` places on, hold what its own slots hold."""
        lay, query = self.layout, self._query(layer, head)
        for offset, mixer in enumerate(mixers, 1):
            source = offset + shift
            if source > len(mixers) or (shift == 0 and offset == 1):
                continue
            gain = NATS[offset - 1] * POWER[layer] * math.sqrt(lay.head) / lay.code
            if source == 0:
                query[self.slow, : lay.token] += gain * mixer @ self.code
            else:
                query[self.slow, lay.slot(source)] += gain * mixer

    def _rest(self, layer: int, head: int, kind: str) -> None:
        """Give a head the score of the token that begins all, which a match must beat."""
        lay, gate = self.layout, GATES[kind]
        row = self._query(layer, head)[self.gate]
        per_nat = math.sqrt(lay.head) * POWER[layer] / math.sqrt(lay.token)
        unit = per_nat / math.sqrt(lay.token)
        row[lay.token] = gate.base * per_nat / CONSTANT
        row[: lay.token] += gate.space * unit * self._direction(self.marks.space)
        for flag, place, nats in gate.flags():
            at = flag if place == 0 else lay.slot(place).start + flag
            row[at] = nats * unit

    def _look_back(self, layer: int, head: int, offset: int, strength: float = 4.0) -> None:
        """Make a head attend to the token `offset` before, by the phases of the fast rotary pairs."""
        lay = self.layout
        size = math.sqrt(strength * POWER[layer] * math.sqrt(lay.head)) / CONSTANT
        keys, query = self._layer(layer).k_proj.weight, self._query(layer, head)
        for i, speed in enumerate(self.speeds):
            if speed > 0.1:
                keys[i, lay.token] = size
                query[i, lay.token] = size * math.cos(-offset * speed)
                query[i + self.pairs, lay.token] = size * math.sin(-offset * speed)

    # -- views of the weights --------------------------------------------------------------------------------------
    def _layer(self, layer: int) -> Any:
        return self.made.model.layers[layer].self_attn

    def _query(self, layer: int, head: int) -> Tensor:
        weight: Tensor = self._layer(layer).q_proj.weight
        return weight[head * self.layout.head : (head + 1) * self.layout.head]

    def _out(self, layer: int, head: int) -> Tensor:
        weight: Tensor = self._layer(layer).o_proj.weight
        return weight[:, head * self.layout.head : (head + 1) * self.layout.head]

    def _direction(self, token: int) -> Tensor:
        vector: Tensor = self.made.model.embed_tokens.weight[token, : self.layout.token]
        direction: Tensor = vector / vector.norm()
        return direction
