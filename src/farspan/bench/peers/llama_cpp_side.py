"""llama.cpp, through llama-cpp-python, for `worker`."""

from __future__ import annotations

import time

import llama_cpp
import numpy

_BATCH = 512


class Side:
    """A GGUF file that is read and written by llama.cpp, with the settings that it comes with."""

    version = llama_cpp.__version__

    def load(self, path: str, context: int, threads: int, device: str) -> None:
        """Open the file with room for `context` tokens."""
        self._model = llama_cpp.Llama(
            path,
            n_ctx=context,
            n_batch=_BATCH,
            n_ubatch=_BATCH,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=0 if device == "cpu" else -1,
            verbose=False,
        )

    def logits(self, ids: list[int]) -> list[float]:
        """What comes after these tokens, and nothing before them; they are forgotten again."""
        self._model.eval(ids)
        logits = llama_cpp.llama_get_logits_ith(self._model.ctx, -1)
        found: list[float] = numpy.ctypeslib.as_array(logits, shape=(self._model.n_vocab(),)).tolist()
        self._model.reset()
        return found

    def read(self, ids: list[int]) -> None:
        """Take in a text."""
        self._model.eval(ids)

    def write(self, ids: list[int]) -> tuple[float, int]:
        """Go on, token by token: seconds and tokens."""
        began = time.perf_counter()
        for token in ids:
            self._model.eval([token])
            llama_cpp.llama_get_logits_ith(self._model.ctx, -1)
        return time.perf_counter() - began, len(ids)

    def read_on(self, ids: list[int]) -> tuple[float, int]:
        """Read on, and forget that again: seconds and tokens."""
        before = self._model.n_tokens
        began = time.perf_counter()
        self._model.eval(ids)
        llama_cpp.llama_get_logits_ith(self._model.ctx, -1)  # waits for a GPU
        seconds = time.perf_counter() - began
        self._model.n_tokens = before  # what lies behind it is written over
        return seconds, len(ids)
