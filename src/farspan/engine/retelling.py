"""A fresh stream that is told parts of a longer text and answers from them; what it quotes is that text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from farspan.engine.generation import Generation
from farspan.engine.kv import KVMemory
from farspan.engine.model import Model
from farspan.engine.sampling import Sampling
from farspan.engine.settings import KVSettings
from farspan.engine.stream import Stream
from farspan.engine.transcript import ForkedTranscript, Transcript
from farspan.errors import BudgetError
from farspan.folders import scratch_folder
from farspan.methods import Method, parse
from farspan.text import TokenPiece
from farspan.types import Budget, Counts

_LEAST_ROOM = 64


class _Retold(Stream):
    """A stream that accounts for text and turns as a whole: `rest` tokens of the text were not told, and `left_out` of
    the turns; `looked` were read before.

    `whole`: text and conversation were told as they stand, all of them and once.
    """

    rest = 0
    left_out = 0
    looked = 0
    whole = True

    @property
    def seen(self) -> int:
        """Tokens of the whole text, of all turns, and of this stream."""
        return self.rest + self.left_out + self.kv.seen

    @property
    def counts(self) -> Counts:
        """Text that was not told is stored; turns that were not are dropped."""
        own = self.kv.counts()
        return replace(
            own,
            seen=self.rest + self.left_out + own.seen,
            stored=self.rest + own.stored,
            dropped=self.left_out + own.dropped,
            fetched=self.looked + own.fetched,
            exact=own.exact and self.whole,
        )


class Retelling:
    """Tell it tokens, then let it answer. `room` is how many tokens it holds; beyond, the oldest but the first go."""

    def __init__(self, model: Model, budget: Budget, text: Transcript) -> None:
        self.model = model
        self._scratch = scratch_folder()
        try:
            kv, self.room = _memory(model, budget, Path(self._scratch.name))
        except BaseException:
            self._scratch.cleanup()
            raise
        self._stream = _Retold(kv, ForkedTranscript(text, base=0))

    def tell(self, ids: Sequence[int]) -> None:
        """Tokens that are no part of the text."""
        self._told(TokenPiece(list(ids), [], []))

    def quote(self, piece: TokenPiece) -> None:
        """Tokens of the text, with their places in it."""
        self._told(piece)

    def answer(
        self,
        prompt: list[int],
        sampling: Sampling,
        done: Callable[[Generation], None],
        *,
        rest: int,
        left_out: int,
        looked: int,
        whole: bool,
    ) -> Generation:
        """Answer behind a prompt; when the answer has ended `done` is called, and this is closed.

        `rest` tokens of the text and `left_out` of the turns were not told; `looked` tokens were read to choose those
        that were. `whole`: the text was told as it stands; with all turns, the answer is what full attention gives.
        """

        def end(answer: Generation) -> None:
            self.close()
            done(answer)

        self._stream.rest, self._stream.left_out, self._stream.looked = rest, left_out, looked
        self._stream.whole = whole and not left_out
        model = self.model
        return Generation(self._stream, model.tokenizer, prompt, sampling, model.eos, end)

    def close(self) -> None:
        """Remove its files. Again does no harm."""
        self._stream.close()
        self._scratch.cleanup()

    def _told(self, piece: TokenPiece) -> None:
        ids, starts, ends = piece
        while ids:
            count = self._stream.limit()
            self._stream.step(ids[:count], None, spans=(starts[:count], ends[:count]))
            ids, starts, ends = ids[count:], starts[count:], ends[count:]


def check_budget(model: Model, budget: Budget) -> None:
    """Raise BudgetError for one that nothing can be told to."""
    with scratch_folder() as folder:
        _memory(model, budget, Path(folder))[0].close()


def _memory(model: Model, budget: Budget, folder: Path) -> tuple[KVMemory, int]:
    """KV for the model's window; for half of it, a quarter and so on where the budget holds no more."""
    room = model.window
    while True:
        settings = KVSettings(model.hosted, _of_room(room), budget, min(model.chunk, max(1, room // 4)), model.runner)
        try:
            return KVMemory(settings, folder), room
        except BudgetError:
            if room // 2 < _LEAST_ROOM:
                raise
            room //= 2


def _of_room(room: int) -> Method:
    sinks = min(4, room - 1)
    return parse(f"streaming(start_size={sinks}, recent_size={room - sinks})")
