"""Training rows of every task family, of prose and of random tokens, each with several questions.

A row is  head + document + blank line + question + tail + answer + end,  then  user + question + tail + answer + end
for each further question: what a session sees, and how a chat goes on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from farspan import tasks
from farspan.recipes import corpus, drills
from farspan.recipes.rows import Row
from farspan.recipes.tokenizer import ASSISTANT, BEGIN, END, USER
from farspan.tasks import quotes

LONGEST = 32
QUOTED = ("quotes", "tangled_quotes")
SIZES = {
    "needle": ("needles", 8, 40, 16),
    "variables": ("chains", 6, 40, 24),
    "several": ("owners", 4, 20, 30),
    "biographies": ("people", 10, 50, 36),
}
FORMS: dict[str, dict[str, Any]] = {"variables": {"ask": "chain"}, "niah_single_2": {"digits": 5}}


class Prose:
    """A filler that jumps about in the training texts; each page is varied in its typography."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._weights = [min(len(text), 400_000) for text in texts]

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Sentences of one page after the other."""
        while True:
            text = rng.choices(self._texts, self._weights)[0]
            start = rng.randrange(max(1, len(text) - 6000))
            page = tasks.Text(corpus.vary("x " + text[start : start + 6000], rng))
            for _, piece in zip(range(rng.randint(10, 60)), page.pieces(rng), strict=False):
                yield piece


class Mix:
    """Draws rows by family; `shares` are weights of the families. Without texts the synthetic filler stands in."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], shares: dict[str, float]) -> None:
        self.tokenizer, self.shares = tokenizer, shares
        self._fillers = (tasks.Synthetic(), Prose(texts) if texts else tasks.Synthetic())
        self._words = [word for text in texts for word in text[:200_000].split()[:3000]] or ["word"]
        begin, user, assistant, end = (tokenizer.convert_tokens_to_ids(name) for name in (BEGIN, USER, ASSISTANT, END))
        self._frame = drills.Frame(
            first=self.encode('\n\nContinue the quote: "'),
            later=self.encode('Continue the quote: "'),
            close=self.encode('"'),
            begin=begin,
            user=user,
            assistant=assistant,
            end=end,
            vocabulary=len(tokenizer),
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without special tokens."""
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.encode(text))

    def row(self, rng: random.Random, length: int, family: str | None = None) -> Row:
        """A row of at most `length` + 1 tokens, of a random family unless one is named."""
        family = family or rng.choices(list(self.shares), list(self.shares.values()))[0]
        if family == "random_quotes":
            return drills.quotes(rng, length, self._frame)
        if family == "copy":
            return drills.copies(rng, length, self._frame)
        return self._asked(rng, length, family)

    def _asked(self, rng: random.Random, length: int, family: str) -> Row:
        quoted = family in QUOTED
        each = 64 if quoted else {"several": 46, "variables": 32}.get(family, 18)
        questions = max(1, min(12, int(length * rng.uniform(0.1, 0.5)) // each))
        room = length - questions * each - 4
        if quoted:
            sample = self._quotes(rng, room, questions, tangled=family == "tangled_quotes")
        else:
            sample = self._facts(rng, room, questions, family)
        row = Row(family)
        row.add([self._frame.begin])
        row.add(self.encode(sample.document), running=quoted or rng.random() < 0.2)
        lead = self.encode("\n\n")
        for turn in sample.turns:
            if not self._ask(rng, row, lead, turn, length, quoted=quoted):
                break
            lead = [self._frame.user]
        row.cut(length + 1)
        return row

    def _ask(
        self, rng: random.Random, row: Row, lead: list[int], turn: tasks.Turn, length: int, *, quoted: bool
    ) -> bool:
        """Append a question with its answer; False, and nothing appended, when they do not fit."""
        folded = quoted and rng.random() < 0.25
        asked = [
            *lead,
            *self.encode(" ".join(turn.query.split()) if folded else turn.query),
            self._frame.assistant,
        ]
        answer = self.encode(turn.answer)
        whole = not quoted or (len(answer) < LONGEST and turn.answer[-1] in ".!?")
        answer = answer[: LONGEST if quoted else None]
        if len(row.ids) + len(asked) + len(answer) > length:
            return False
        row.add(asked)
        row.answer([*answer, self._frame.end] if whole else answer)
        if not whole:
            row.add([self._frame.end])
        return True

    def _facts(self, rng: random.Random, room: int, questions: int, family: str) -> tasks.Sample:
        options: dict[str, Any] = {"turns": questions, **FORMS.get(family, {})}
        if family in SIZES:
            option, usual, dense, cost = SIZES[family]
            least = 2 if family == "biographies" else 1
            fits = max(least, int(room * rng.uniform(0.5, 0.9)) // cost)
            options[option] = min(fits, dense if rng.random() < 0.4 else usual)
        space = self._space(max(room, 84), rng.choice(self._fillers))
        task = tasks.get(family, **options)
        assert task.make is not None
        return task.make(rng, space, **task.knobs)

    def _quotes(self, rng: random.Random, room: int, questions: int, *, tangled: bool) -> tasks.Sample:
        space = self._space(room * 2 // 3 if tangled else room, self._fillers[1])
        sample = quotes.make(rng, space, turns=questions, given=(6, 12), following=12)
        return self._tangle(rng, sample) if tangled else sample

    def _space(self, length: int, filler: tasks.Filler) -> tasks.Space:
        """Room for the document alone: the row counts its questions itself."""
        return tasks.Space(length, self.count, filler, modes=())

    def _tangle(self, rng: random.Random, sample: tasks.Sample) -> tasks.Sample:
        """Put near-copies of the asked passages into the document: some words replaced, another continuation."""
        document = sample.document
        for turn in sample.turns:
            start, end = sample.spans(turn)[0]
            passage = sample.document[start:end].split(" ")
            copy = [rng.choice(self._words) if rng.random() < 0.2 else word for word in passage[2:16]]
            at = document.find(". ", rng.randrange(max(1, len(document) - 10)))
            if at >= 0:
                document = f"{document[: at + 1]} {' '.join(copy)} {document[at + 2 :]}"
        kept = tuple(turn for turn in sample.turns if _stands(turn, document))
        return tasks.Sample((tasks.Segment(document),), kept) if kept else sample


def _stands(turn: tasks.Turn, document: str) -> bool:
    """Whether a quote still occurs once, followed by its answer."""
    quote = turn.query.split('"', 1)[1][:-1]
    at = document.find(quote)
    return at >= 0 and document.find(quote, at + 1) < 0 and document.startswith(quote + turn.answer, at)
