"""Opens who takes part in a contest, all with the same weights and the same random tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from farspan.bench.peers.gguf_file import write_gguf
from farspan.bench.peers.hugging_face import HuggingFace, next_logits
from farspan.bench.peers.ours import Ours
from farspan.bench.peers.outside import Outside, PeerAbsent, Worker
from farspan.bench.race import GROUP, PIECE, Contender, reason
from farspan.engine import Model
from farspan.errors import FarspanError
from farspan.folders import scratch_folder
from farspan.methods import Method
from farspan.types import Budget, format_count

_ALIKE = 0.99
_CHECKED_TOKENS = 16
_LLAMA_CPP_ITEM_BYTES = 2
_PRUNED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Who takes part beside farspan, at lengths of up to `tokens`; llama.cpp and kvpress by their interpreters."""

    tokens: int
    llama_cpp: str
    kvpress: str


class Contestants:
    """Opens contenders that have read so many random tokens; `opened` closes them."""

    def __init__(self, model: Model, opened: ExitStack, rounds: int) -> None:
        self._model = model
        self._opened = opened
        self._room = PIECE + GROUP * (rounds + 1)
        self._folder = Path(opened.enter_context(scratch_folder()))
        self.absent: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def ours(self, method: Method, budget: Budget, tokens: int) -> Ours:
        """farspan with a method."""
        return Ours(self._model, method, budget, random_ids(self._model, tokens), self._opened)

    def peers(self, peers: Peers, tokens: int) -> list[Contender]:
        """All that are there; why another is not stands in `absent`."""
        ids = random_ids(self._model, tokens)
        found: list[Contender] = []
        ways: tuple[tuple[str, Callable[[list[int]], Contender]], ...] = (
            (HuggingFace.name, partial(HuggingFace, self._model)),
            ("llama.cpp", partial(self._llama_cpp, peers.llama_cpp)),
            ("kvpress", partial(self._kvpress, peers.kvpress)),
        )
        for name, open_peer in ways:
            if name in self.absent:
                continue
            try:
                found.append(open_peer(ids))
            except PeerAbsent as absent:
                self.absent[name] = absent.message
            except Exception as error:
                self.absent[name] = f"after {format_count(tokens)} tokens: {reason(error)}"
        return found

    def _llama_cpp(self, python: str, ids: list[int]) -> Outside:
        """It keeps keys and values in float16 unless told otherwise."""
        worker = self._worker(python, "llama_cpp_side")
        path = self._folder / "model.gguf"
        if not path.exists():
            write_gguf(self._model.hosted.model, path)
        self._load(worker, path, context=len(ids) + self._room)
        return Outside(worker, ids, _LLAMA_CPP_ITEM_BYTES)

    def _kvpress(self, python: str, ids: list[int]) -> Outside:
        worker = self._worker(python, "kvpress_side")
        path = self._folder / "model"
        if not path.exists():
            self._model.hosted.model.save_pretrained(path)
        self._load(worker, path, dtype=str(self._model.hosted.dtype).removeprefix("torch."), ratio=_PRUNED)
        return Outside(worker, ids, self._model.hosted.dtype.itemsize, kept=1 - _PRUNED)

    def _worker(self, python: str, side: str) -> Worker:
        worker = self._opened.enter_context(Worker(python, side, self._folder / f"{side}.log"))
        self.versions[worker.name] = worker.version
        return worker

    def _load(self, worker: Worker, path: Path, **how: object) -> None:
        """Load the weights, and see that they give what transformers gives. Raises FarspanError where they do not."""
        device = str(self._model.hosted.device)
        worker.ask("load", path=str(path), threads=torch.get_num_threads(), device=device, **how)
        ids = random_ids(self._model, _CHECKED_TOKENS)
        theirs = torch.tensor(worker.ask("logits", ids=ids))
        own = next_logits(self._model.hosted.model, ids).float().cpu()
        alike = float(torch.corrcoef(torch.stack((own, theirs)))[0, 1])
        if not alike >= _ALIKE:
            raise FarspanError(
                f"{worker.name} computes something else: its logits correlate with transformers' by {alike:.3f}",
                fix="use another version of it, or --alone",
            )


def random_ids(model: Model, tokens: int) -> list[int]:
    """The same tokens every time, any of the vocabulary."""
    generator = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(model.hosted.vocab_size, (tokens,), generator=generator).tolist()
    return ids
