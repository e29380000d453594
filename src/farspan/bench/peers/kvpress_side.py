"""kvpress, which reads a text at once and then prunes what it holds, for `worker`."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import kvpress
import torch
import transformers


class Side:
    """A model folder, read under SnapKV, that keeps the share `1 - ratio` of what it has read."""

    version = version("kvpress")

    @torch.inference_mode()
    def load(self, path: str, dtype: str, ratio: float, threads: int, device: str) -> None:
        """Load the folder."""
        torch.set_num_threads(threads)
        self._model = (
            transformers.AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).to(device).eval()
        )
        self._press = kvpress.SnapKVPress(compression_ratio=ratio)

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> list[float]:
        """What comes after these tokens, and nothing before them, without pruning."""
        found: list[float] = self._model(self._tensor(ids), logits_to_keep=1).logits[0, -1].tolist()
        return found

    def read(self, ids: list[int]) -> None:
        """Take in a text."""
        self._ids = ids
        self._cache = self._pressed(ids)
        self._position = len(ids)

    @torch.inference_mode()
    def write(self, ids: list[int]) -> tuple[float, int]:
        """Go on, token by token: seconds and tokens."""
        began = time.perf_counter()
        for position, token in enumerate(ids, self._position):
            at = torch.tensor([[position]], device=self._model.device)
            self._model(self._tensor([token]), past_key_values=self._cache, position_ids=at).logits[0, -1, 0].item()
        self._position += len(ids)
        return time.perf_counter() - began, len(ids)

    def read_on(self, ids: list[int]) -> tuple[float, int]:
        """Read all of the text and these tokens anew, since only what is read at once is pruned: seconds and tokens."""
        whole = self._ids + ids
        began = time.perf_counter()
        self._pressed(whole).layers[-1].keys[0, 0, 0, 0].item()  # waits for a GPU
        return time.perf_counter() - began, len(whole)

    @torch.inference_mode()
    def _pressed(self, ids: list[int]) -> Any:
        cache = transformers.DynamicCache()
        with self._press(self._model):
            self._model.model(self._tensor(ids), past_key_values=cache)
        return cache

    def _tensor(self, ids: list[int]) -> torch.Tensor:
        return torch.tensor([ids], device=self._model.device)
