"""Host a Hugging Face decoder: farspan's memory in the place of its cache, attention and positions.

    model, tokenizer = load_pretrained(folder_or_name, dtype, device)
    hosted = host(model)                                   # ModelError when farspan would get it wrong
    hosted.facts[i]                                        # LayerFacts: heads, widths, sliding window, rope, soft cap
    hosted.rope(i, length)                                 # Rope of layer i for a stream of `length` tokens, or None
    hosted.forward(ids_T, start, handlers, logits="last")  # one chunk; layer i attends by handlers[i].attend(...)
    hosted.forward_together(chunks)                        # one chunk of each of several streams
    refuse(model)                                          # the part of host's checks that needs no weights
    window_of(config)                                      # the trained context

The model object given to `host` is never changed: farspan runs a twin of it that shares every weight (twin.py). What
a layer needs is observed, not looked up by model name: a probe runs four tokens through every layer (probe.py).

Legend: B streams, T tokens of a chunk, H query heads, G kv heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from farspan.attention.bridge import NAME, AttendCall, LayerHandler, Port, register
from farspan.attention.facts import LayerFacts
from farspan.attention.fingerprint import fingerprint
from farspan.attention.kernels import chosen_once
from farspan.attention.layers import shorten
from farspan.attention.loading import load_pretrained
from farspan.attention.probe import RopeSource, probe, rotary_modules, still_rotary
from farspan.attention.rope import Rope
from farspan.attention.shortcuts import hasten
from farspan.attention.twin import twin
from farspan.errors import FarspanError, ModelError

__all__ = [
    "AttendCall",
    "Chunk",
    "HostedModel",
    "LayerHandler",
    "Rope",
    "host",
    "load_pretrained",
    "refuse",
    "window_of",
]


class Chunk(NamedTuple):
    """Tokens of one stream, the first of which is its token number `start`, and what attends in every layer."""

    ids_T: Tensor
    start: int
    handlers: Sequence[LayerHandler]


class HostedModel:
    """A decoder whose attention farspan answers. It holds no state of a stream; threads may share it.

    `window` is the context that the model was trained or configured for, in tokens; `bytes_per_token` is the KV of one
    token in all full-attention layers together, or in all layers where each has a sliding window.
    """

    def __init__(self, model: PreTrainedModel, body: Any, facts: tuple[LayerFacts, ...], ropes: dict[str, RopeSource]):
        config = model.config.get_text_config(decoder=True)
        self.model = model
        self.facts = facts
        self.window: int = window_of(config)
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = model.get_output_embeddings().weight.shape[0]
        self.dtype: torch.dtype = model.dtype
        full = [fact for fact in facts if fact.sliding_window is None] or facts
        self.bytes_per_token = sum(f.kv_heads * (f.key_dim + f.value_dim) for f in full) * self.dtype.itemsize
        self._body = body
        self._ropes = ropes

    @property
    def device(self) -> torch.device:
        """Where the model takes its token ids."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @cached_property
    def fingerprint(self) -> str:
        """Tells these weights from others: a hash of the shape and some of the numbers."""
        return fingerprint(self.model, repr(self.facts))

    def rope(self, layer_index: int, length: int) -> Rope | None:
        """How layer `layer_index` turns positions once `length` tokens have been seen; None for a layer without.

        Only dynamic NTK and LongRoPE change with `length`; otherwise it is one and the same object.
        """
        kind = self.facts[layer_index].rope_kind
        return None if kind is None else self._ropes[kind].rope(length)

    @torch.no_grad()
    def forward(
        self,
        ids_T: Tensor,
        start: int,
        handlers: Sequence[LayerHandler],
        logits: Literal["last", "all"] | None = "last",
    ) -> Tensor | None:
        """Run one chunk, whose first token is number `start` of the stream, through the model.

        Returns `[1, V]` for `"last"`, `[T, V]` for `"all"`, in the model's dtype; None skips the language-model head.
        """
        rows = self.forward_together([Chunk(ids_T, start, handlers)], logits)
        return None if rows is None else rows[0]

    @torch.no_grad()
    def forward_together(
        self, chunks: Sequence[Chunk], logits: Literal["last", "all"] | None = "last"
    ) -> Tensor | None:
        """Run chunks of several streams, of the same length, through the model at once, as `forward` does with one.

        Returns `[B, 1, V]` or `[B, T, V]`. The weights are read once for all of them.
        """
        for chunk in chunks:
            assert len(chunk.handlers) == len(self.facts), f"{len(chunk.handlers)} handlers, {len(self.facts)} layers"
        starts = [chunk.start for chunk in chunks]
        layers = zip(*(chunk.handlers for chunk in chunks), strict=True)
        with chosen_once():
            ports = [Port(handlers, max(starts)) for handlers in layers]
            return run(self._body, torch.stack([chunk.ids_T for chunk in chunks]), starts, ports, logits)


def run(body: Any, ids_BT: Tensor, starts: list[int], ports: Sequence[Port], logits: str | None) -> Tensor | None:
    """One forward of a prepared twin: `[B, 1, V]`, `[B, T, V]` or None."""
    starts_B1 = torch.tensor(starts, device=ids_BT.device).unsqueeze(1)
    inputs = {
        "input_ids": ids_BT,
        "position_ids": starts_B1 + torch.arange(ids_BT.shape[1], device=ids_BT.device),
        "past_key_values": Cache(layers=ports),
        "use_cache": True,
        "return_dict": True,
    }
    if logits is None:
        body.base_model(**inputs)
        return None
    logits_BTV: Tensor = body(**inputs, logits_to_keep=1 if logits == "last" else 0).logits
    return logits_BTV


def window_of(config: Any) -> int:
    """The trained context: `max_position_embeddings`, or more where rope scaling stretches an original window."""
    window = int(config.max_position_embeddings)
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)]
    for rope in nested or [parameters]:
        if rope.get("rope_type") in ("yarn", "longrope", "llama3") and rope.get("original_max_position_embeddings"):
            window = max(window, int(rope["original_max_position_embeddings"] * (rope.get("factor") or 1)))
    return window


def host(model: PreTrainedModel) -> HostedModel:
    """Make a decoder ready for farspan. Raises ModelError naming the model's class and the reason when it cannot be."""
    name = type(model).__name__
    try:
        register()
        return _host(model)
    except ModelError as error:
        raise ModelError(f"{name} cannot be hosted: {error.message}", fix=error.fix or _FIX) from error.__cause__
    except FarspanError:
        raise
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        reason = f"its forward fails under farspan ({type(error).__name__}: {first})"
        raise ModelError(f"{name} cannot be hosted: {reason}", fix=_FIX) from error


_FIX = "use a decoder with rotary positions, such as Llama, Qwen, Mistral, Gemma, Phi or SmolLM3"


def _host(model: PreTrainedModel) -> HostedModel:
    refuse(model)
    if model.get_input_embeddings().weight.is_meta:
        raise ModelError("its weights are not loaded", fix="load it with from_pretrained")
    body = twin(model).eval()
    hasten(body)
    config = body.config
    config._attn_implementation = NAME
    config.output_attentions = config.output_hidden_states = False
    facts, ropes = probe(body, still_rotary(body), run)
    shorten(body, run)
    return HostedModel(model, body, facts, ropes)


def refuse(model: Any) -> None:
    """Turn away what can be told from a model's modules alone, say on the meta device. Raises ModelError."""
    if not isinstance(model, PreTrainedModel):
        raise ModelError("it is not a transformers model", fix="pass a PreTrainedModel; merge adapters first")
    if model.config.is_encoder_decoder:
        raise ModelError("it is an encoder-decoder, and farspan hosts decoders only")
    if model.get_output_embeddings() is None:
        raise ModelError("it has no language-model head", fix="load it with AutoModelForCausalLM")
    config = model.config.get_text_config(decoder=True)
    foreign = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if foreign:
        raise ModelError(f"it has layers of type {', '.join(sorted(foreign))}; farspan hosts full and sliding ones")
    if getattr(config, "num_kv_shared_layers", 0):
        raise ModelError(f"its last {config.num_kv_shared_layers} layers share the keys and values of others")
    if not model._can_set_attn_implementation():
        raise ModelError("it does not call its attention through transformers' attention interface")
    if not rotary_modules(model):
        raise ModelError("it has no rotary positions")
