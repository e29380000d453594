"""Documents: numbered articles, one of which answers the question; most others are much like it.

Without a file they are synthetic articles on places that do not exist, with near-duplicates on places of almost the
same name. With one, they are its paragraphs or contexts; once those are used up, synthetic articles go on. Three
changes keep a model from answering by what it knows or by what merely looks alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space, TooShort
from farspan.tasks.material import squad, transforms
from farspan.tasks.material.articles import TOLD, Gazette

CARD = Card(
    scope="one fact",
    diffusion="paraphrased",
    source="RULER (Hsieh et al. 2024), QA; AltQA of Giraffe (Pal et al. 2023); LV-Eval (Yuan et al. 2024)",
    version=2,
    presets={
        "ruler_qa": {"scorer": "any_substring"},
        "shared_qa": {"turns": 5},
        "qa_altered": {"altered": True},
        "qa_confusing": {"confusing": True},
        "qa_replaced": {"replaced": True},
    },
)
_SCORERS = ("any_substring", "f1")
_DECOYS, _CHARACTERS_A_TOKEN, _TOKENS_A_PLACE = 24, 12, 300


class _Posed(NamedTuple):
    """A question on document `at`, and a sentence that tells something else of something else."""

    question: str
    answers: tuple[str, ...]
    at: int
    contradiction: str


class _Material(NamedTuple):
    """The documents that are asked about, the questions, further documents, and wrong answers that stand in them."""

    asked: list[str]
    posed: list[_Posed]
    more: Callable[[int], list[str]]
    decoys: list[str]


class _Changes(NamedTuple):
    """Which of the transforms are made."""

    altered: bool
    confusing: bool
    replaced: bool

    def suit(self, one: _Posed, document: str) -> bool:
        """Whether a question can be changed by every one of them."""
        alone = transforms.Quiz((document,), (one.question,), (one.answers,))
        renamed = transforms.replaced(alone, random.Random(0)) if self.replaced else alone
        return (
            (not self.altered or bool(transforms.number(one.answers)))
            and (not self.confusing or bool(one.contradiction))
            and (not self.replaced or (renamed.questions, renamed.answers) != (alone.questions, alone.answers))
        )

    def made(self, quiz: transforms.Quiz, sentences: Sequence[str], rng: random.Random) -> transforms.Quiz:
        """The quiz with these changes."""
        quiz = transforms.confusing(quiz, sentences, rng) if self.confusing else quiz
        if self.replaced:
            return transforms.replaced(quiz, rng)
        return transforms.altered(quiz, rng) if self.altered else quiz


def make(
    rng: random.Random,
    space: Space,
    *,
    path: str = "",
    scorer: str = "any_substring",
    near: int = 4,
    altered: bool = False,
    confusing: bool = False,
    replaced: bool = False,
    turns: int = 1,
) -> Sample:
    """As many documents as fit, in random order; each of `turns` questions is answered by one of them.

    path: a file in the format of SQuAD, where other paragraphs of the same articles distract first; or of rows, each
    with `context`, `question` (or `input`) and `answers`. scorer: `any_substring` or `f1`. near: near-duplicates of
    every asked synthetic article. altered: only questions with numbers for answers, and those exchanged for others
    everywhere. confusing: for each question a sentence is added that says the like, but of something else. replaced:
    everything is renamed everywhere, and numbers that are answers are exchanged. Raises UsageError for another scorer;
    InputError for a file that cannot be read, TooShort where none of its questions suits that is on a paragraph of
    half the length at most.
    """
    if scorer not in _SCORERS:
        raise UsageError(f"documents are not scored by {scorer!r}", fix=f"one of {', '.join(_SCORERS)}")
    changes = _Changes(altered, confusing, replaced)
    seed = rng.getrandbits(64)
    drawn = _from_file(rng, space, path, turns, changes) if path else _synthetic(rng, space, turns, near, altered)

    def build(units: int) -> Sample:
        return _page(random.Random(seed), drawn, units, changes, scorer)

    return stack(space, build, least=len(drawn.asked))


def _page(rng: random.Random, drawn: _Material, units: int, changes: _Changes, scorer: str) -> Sample:
    documents = [*drawn.asked, *drawn.more(units - len(drawn.asked))]
    questions, answers = zip(*((one.question, one.answers) for one in drawn.posed), strict=True)
    quiz = transforms.Quiz(tuple(documents), questions, answers, tuple(drawn.decoys))
    quiz = changes.made(quiz, [one.contradiction for one in drawn.posed if one.contradiction], rng)
    order = rng.sample(range(units), units)
    page, spans = Page(), {}
    for number, at in enumerate(order, start=1):
        page.add("\n\n" if number > 1 else "")
        spans[at] = page.add(f"Document {number}:\n{quiz.documents[at]}")
    asked: list[Asked] = []
    for one, question, gold in zip(drawn.posed, quiz.questions, quiz.answers, strict=True):
        wrong = [other[0] for other in quiz.answers if other != gold]
        decoys = tuple(_others([*wrong, *quiz.decoys], gold, quiz.documents))
        turn = Turn(f"{question} Answer in a few words.", f" {gold[0]}", gold, scorer, decoys=decoys)
        asked.append((turn, [one.at]))
    turns = located([spans[at] for at in range(units)], asked)
    return page.sample(turns, documents=units)


def _others(decoys: Sequence[str], answers: Sequence[str], documents: Sequence[str]) -> list[str]:
    """The decoys that stand in the documents and share nothing with an answer."""
    apart = [
        decoy for decoy in dict.fromkeys(decoys) if not any(decoy in answer or answer in decoy for answer in answers)
    ]
    return [decoy for decoy in apart[: 2 * _DECOYS] if any(decoy in document for document in documents)][:_DECOYS]


def _synthetic(rng: random.Random, space: Space, turns: int, near: int, numeric: bool) -> _Material:
    """A question for each of several articles; where the length is too short for those, several for one."""
    gazette = Gazette(random.Random(rng.getrandbits(64)))
    places = min(turns, max(1, space.length // _TOKENS_A_PLACE))
    shares = [min(TOLD, len(range(place, turns, places))) for place in range(places)]
    golds = [gazette.gold(share, numeric=numeric) for share in shares]
    wrong = [{attribute: gazette.value(attribute) for attribute in gold.values} for _ in range(near) for gold in golds]
    asked = [gazette.article(*gold) for gold in golds]
    alike = [gazette.article(gazette.akin(golds[i % places].place), values) for i, values in enumerate(wrong)]
    posed = [
        _Posed(gold.question(attribute), (value,), at, gazette.contradiction(gold, attribute))
        for at, gold in enumerate(golds)
        for attribute, value in gold.values.items()
    ]
    rng.shuffle(posed)
    decoys = [value for told in wrong for value in told.values()]
    return _Material(asked, posed, _growing(chain(alike, gazette.articles())), decoys)


def _from_file(rng: random.Random, space: Space, path: str, turns: int, changes: _Changes) -> _Material:
    """Questions on different paragraphs, which take half of the space together at the most."""
    held = squad.read(path)
    limit = space.length // (2 * turns)
    posed: dict[int, _Posed] = {}
    for item in rng.sample(held.items, len(held.items)):
        text = held.paragraphs[item.paragraph]
        if len(posed) == turns:
            break
        if item.paragraph in posed or len(text) > _CHARACTERS_A_TOKEN * limit or space.count(text) > limit:
            continue
        contradiction = transforms.contradiction(text, item.question, item.answers, rng) if changes.confusing else ""
        one = _Posed(item.question, item.answers, len(posed), contradiction)
        if changes.suit(one, text):
            posed[item.paragraph] = one
    if not posed:
        raise TooShort(
            f"{path} has no question that suits on a paragraph of up to {limit:,} tokens",
            fix="ask for a longer length, fewer questions or fewer changes",
        )
    others = rng.sample(
        [number for number in range(len(held.paragraphs)) if number not in posed], len(held.paragraphs) - len(posed)
    )
    articles = {held.articles[number] for number in posed}
    others.sort(key=lambda number: held.articles[number] not in articles)
    gazette = Gazette(random.Random(rng.getrandbits(64)))
    more = _growing(chain((held.paragraphs[number] for number in others), gazette.articles()))
    decoys = [item.answers[0] for item in held.items if held.articles[item.paragraph] in articles]
    return _Material([held.paragraphs[number] for number in posed], list(posed.values()), more, decoys)


def _growing(drawn: Iterator[str]) -> Callable[[int], list[str]]:
    """The first so many of an endless row, of which none is drawn twice."""
    held: list[str] = []

    def first(amount: int) -> list[str]:
        held.extend(islice(drawn, max(0, amount - len(held))))
        return held[:amount]

    return first
