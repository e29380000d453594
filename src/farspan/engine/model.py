"""A decoder with its tokenizer, made ready to read any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from farspan.attention.adapter import HostedModel, host, load_pretrained
from farspan.engine.devices import usable
from farspan.engine.kv import KVMemory
from farspan.engine.session import Session
from farspan.engine.settings import KVSettings
from farspan.engine.stepping import AT_ONCE, Runner
from farspan.engine.store import Store
from farspan.engine.stream import Stream
from farspan.engine.template import Template
from farspan.engine.transcript import Transcript
from farspan.errors import BudgetError, InputError, UsageError
from farspan.folders import scratch_folder
from farspan.methods import Method, parse
from farspan.methods.parts.window_share import window_share
from farspan.text import TextEncoder
from farspan.types import Budget

BUNDLED = "farspan-tiny"
_MOST_CHUNK = 512


class Model:
    """A Hugging Face decoder and its tokenizer. `load` makes one; `Model(model, tokenizer)` takes one that you have.

    `runner` runs the steps of its sessions: who serves several at once has them take turns by it.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str = "", runner: Runner = AT_ONCE) -> None:
        self.hosted: HostedModel = host(model)
        self.runner = runner
        self.tokenizer = tokenizer
        self.name = name or str(model.config._name_or_path)

    @property
    def window(self) -> int:
        """The context that the model was trained for, in tokens."""
        return self.hosted.window

    @property
    def dtype(self) -> str:
        """The number type of its weights, and so of keys and values, such as "bfloat16"."""
        return str(self.hosted.dtype).removeprefix("torch.")

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values of one token in all full-attention layers, or in all where each has a window."""
        bytes_per_token: int = self.hosted.bytes_per_token
        return bytes_per_token

    @property
    def chunk(self) -> int:
        """The most tokens that are read at once, unless a session says otherwise."""
        return window_share(self.window, 4, _MOST_CHUNK)

    @cached_property
    def template(self) -> Template:
        """The chat template's pieces."""
        return Template.of(self.tokenizer)

    @cached_property
    def encoder(self) -> TextEncoder:
        """Text to tokens."""
        return TextEncoder(self.tokenizer)

    @cached_property
    def _raw_encoder(self) -> TextEncoder:
        return TextEncoder(self.tokenizer, controls=True)

    @cached_property
    def eos(self) -> frozenset[int]:
        """Tokens that end a text."""
        ids = self.hosted.model.generation_config.eos_token_id
        listed = ids if isinstance(ids, (list, tuple)) else [ids]
        return frozenset(id_ for id_ in listed if id_ is not None)

    @property
    def fingerprint(self) -> str:
        """Says whether a saved session was made with these weights: a hash of the shape and some of the numbers."""
        fingerprint: str = self.hosted.fingerprint
        return fingerprint

    @property
    def identity(self) -> dict[str, str]:
        """What a saved session must be opened with again: `model` as it was named, `model_fingerprint`, `dtype`."""
        return {"model": self.name, "model_fingerprint": self.fingerprint, "dtype": self.dtype}

    def encode_raw(self, text: str, *, first: bool) -> list[int]:
        """Token ids of a prompt as the tokenizer gives them, with its special tokens when it is the first text."""
        return list(chain.from_iterable(self.stream_raw(text, first=first)))

    def stream_raw(self, text: str, *, first: bool) -> Iterator[list[int]]:
        """The same, some thousand at a time."""
        bare, whole = (self.tokenizer.encode("a", add_special_tokens=special) for special in (False, first))
        at = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
        yield whole[:at]
        yield from (piece.ids for piece in self._raw_encoder.stream([text]))
        yield whole[at + len(bare) :]

    def check_ids(self, ids: Sequence[int]) -> None:
        """Raise InputError for a token id that the model does not know."""
        most = self.hosted.vocab_size
        if wrong := [id_ for id_ in ids if not 0 <= id_ < most]:
            raise InputError(f"{wrong[0]} is no token id of a model with {most:,}", fix="use the model's own tokenizer")

    def session(
        self,
        method: str | Method = "full",
        budget: Budget | str | int | None = None,
        path: Path | str | None = None,
        chunk: int | None = None,
    ) -> Session:
        """Begin a stream.

        `method` is an expression such as "infllm(top_k=32)"; `budget` bytes or tokens by tier (see `Budget.parse`);
        `path` a new folder in which every chunk is committed; `chunk` the most tokens that are read at once (None:
        512, or a quarter of the window where that is less).
        Raises MethodError, BudgetError when the budget is below what method and chunk need, SessionError when there
        is a session in the folder.
        """
        if chunk is not None and chunk < 1:
            raise UsageError(f"chunk={chunk} reads nothing", fix="give 1 or more")
        settings = KVSettings(self.hosted, parse(method), Budget.parse(budget), chunk or self.chunk, self.runner)
        if path is None:
            scratch = scratch_folder()
            folder = Path(scratch.name)
            stream = Stream(KVMemory(settings, folder / "layers"), Transcript(folder / "text"))
            return Session(self, stream, scratch=scratch)
        if not settings.budget.has_disk:
            raise BudgetError("a session kept in a folder needs a disk tier", fix="leave disk=0 out of the budget")
        folder = Path(path).absolute()
        kv = KVMemory(settings, folder / "layers", lasting=True)
        store = Store(folder, new=True)
        try:
            session = Session(self, Stream(kv, Transcript(folder / "text")), store=store)
            session.commit()
        except BaseException:
            store.close()
            raise
        return session


def load(
    name_or_path: str | Path | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | None = None,
    runner: Runner = AT_ONCE,
) -> Model:
    """Load a model: None is the bundled one, otherwise a local folder or a name on the Hugging Face Hub.

    `dtype` None keeps the checkpoint's; `device` None is a GPU where there is one; for `runner` see `Model`. Raises
    ModelError when it cannot be loaded or hosted, with the reason, and UsageError for a device that is not there.
    """
    bundled = name_or_path is None or str(name_or_path) == BUNDLED
    place = str(files("farspan.models") / "tiny") if bundled else _absolute(str(name_or_path))
    wanted = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not isinstance(wanted, torch.dtype):
        raise UsageError(f"dtype={dtype!r} is unknown", fix="float32, bfloat16 or float16")
    target = usable(device or ("cuda" if torch.cuda.is_available() and not bundled else "cpu"))
    model, tokenizer = load_pretrained(place, wanted, target)
    return Model(model, tokenizer, BUNDLED if bundled else place, runner)


def _absolute(name_or_path: str) -> str:
    """A folder by its full path, so that a session can name its model from anywhere; a Hub name as it is."""
    folder = Path(name_or_path).expanduser()
    return str(folder.resolve()) if folder.exists() else name_or_path
