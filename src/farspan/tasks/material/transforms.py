"""Changes to a set of documents with questions that keep the answers in them and take away what helps from outside.

Pure functions over documents, questions and answers, for generated sets and those read from files alike: `altered`
(Giraffe's AltQA; Pal et al. 2023), `confusing` and `replaced` (LV-Eval; Yuan et al. 2024). The documents stay in their
order. Nothing here knows where the documents are from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from farspan.tasks.kit import words

_TOKEN = re.compile(r"\w+(?:(?<=\d)[.,](?=\d)\w+)*")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SENTENCE = re.compile(r"(?<=[.!?])(?<![A-Z]\.)(?<!\.\.)\s+(?=[^\sa-z])")
_FIRST_YEAR, _LAST_YEAR, _YEARS_OFF = 1000, 2100, 10
_DRAWS, _WORDS_BESIDE, _SHORTEST_NAME = 50, 2, 3
_NO_NAMES = frozenset(
    "January February March April May June July August September October November December Monday Tuesday Wednesday "
    "Thursday Friday Saturday Sunday".split()
)
_POINTERS = frozenset(
    "He She It They His Her Its Their This These That Those Such Here There Both Another Then".split()
)


@dataclass(frozen=True, slots=True)
class Quiz:
    """Documents, and questions that they answer; the answers of a question are all right ways to word one answer."""

    documents: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]

    def texts(self) -> list[str]:
        """All that it holds, piece by piece."""
        return [*self.documents, *self.questions, *(answer for several in self.answers for answer in several)]


def substituted(quiz: Quiz, others: Mapping[str, str]) -> Quiz:
    """The quiz with every word or number that is a key of `others` exchanged, everywhere and at once."""
    return Quiz(
        tuple(_exchanged(text, others) for text in quiz.documents),
        tuple(_exchanged(text, others) for text in quiz.questions),
        tuple(tuple(_exchanged(text, others) for text in several) for several in quiz.answers),
    )


def altered(quiz: Quiz, rng: random.Random) -> Quiz:
    """Exchange the number that answers a question for another one everywhere, so that it cannot be known beforehand.

    A year (1000 to 2100) becomes one at most ten years off, any other number one of the same digits' count, where it
    can be one that the quiz does not hold yet. Questions whose answer is no number (see `number`) stay as they are.
    """
    taken = _tokens(quiz.texts())
    others: dict[str, str] = {}
    for old in filter(None, map(number, quiz.answers)):
        if old not in others:
            others[old] = _other(rng, old, taken)
            taken.add(others[old])
    return substituted(quiz, others)


def replaced(quiz: Quiz, rng: random.Random) -> Quiz:
    """Rename everything that questions and answers call by a name, word by word and everywhere, to made-up names."""
    seen = _tokens(quiz.texts())
    inner = _inner([*quiz.documents, *quiz.questions])
    asked = [token for text in quiz.questions for token in _TOKEN.findall(text)[1:]]
    told = [token for several in quiz.answers for text in several for token in _TOKEN.findall(text)]
    return substituted(quiz, _renamed(rng, _names([*asked, *told], inner, seen), seen))


def confusing(quiz: Quiz, sentences: Iterable[str], rng: random.Random) -> Quiz:
    """Put each sentence at the end of some document, where it stands before no sentence that says `it` or `he`.

    `contradiction` makes such sentences.
    """
    documents = list(quiz.documents)
    for sentence in sentences:
        at = rng.randrange(len(documents))
        documents[at] = f"{documents[at]} {sentence}"
    return replace(quiz, documents=tuple(documents))


def contradiction(document: str, answers: Sequence[str], rng: random.Random) -> str:
    """The sentence of the document that holds an answer, said of others: its names made up, its answer another.

    Empty where that cannot be done: the sentence names nobody beside the answer, or the answer is neither name nor
    number.
    """
    seen, inner = _tokens([document]), _inner([document])
    for sentence in _SENTENCE.split(document):
        found = next((one for one in answers if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", sentence)), None)
        tokens = _TOKEN.findall(sentence)
        if found is None or tokens[0] in _POINTERS:
            continue
        named, answer = _names(tokens, inner, seen), _TOKEN.findall(found)
        others = _renamed(rng, named, seen)
        others |= {token: _other(rng, token, seen) for token in answer if _NUMBER.fullmatch(token)}
        if any(name not in answer for name in named) and any(token in others for token in answer):
            return _exchanged(sentence, others)
    return ""


def number(answers: Sequence[str]) -> str:
    """The one number that all these answers give, with two words beside it at the most; empty where there is none."""
    found: set[str] = set()
    for answer in answers:
        tokens = _TOKEN.findall(answer)
        if len(tokens) > 1 + _WORDS_BESIDE or not any(map(_NUMBER.fullmatch, tokens)):
            return ""
        found |= {token for token in tokens if _NUMBER.fullmatch(token)}
    return found.pop() if len(found) == 1 else ""


def _names(tokens: Iterable[str], inner: set[str], seen: set[str]) -> list[str]:
    """Tokens that look like names: capital first also inside a sentence, and never seen without; no months and days."""
    return [
        token
        for token in dict.fromkeys(tokens)
        if token.isalpha()
        and token[0].isupper()
        and len(token) >= _SHORTEST_NAME
        and token not in _NO_NAMES
        and token in inner
        and token.lower() not in seen
    ]


def _tokens(texts: Iterable[str]) -> set[str]:
    """All words and numbers."""
    return {token for text in texts for token in _TOKEN.findall(text)}


def _inner(texts: Iterable[str]) -> set[str]:
    """All words and numbers that begin no sentence."""
    return {token for text in texts for sentence in _SENTENCE.split(text) for token in _TOKEN.findall(sentence)[1:]}


def _exchanged(text: str, others: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda match: others.get(match[0], match[0]), text)


def _renamed(rng: random.Random, named: Sequence[str], seen: set[str]) -> dict[str, str]:
    """A made-up name for each that is not among those `seen`, in capitals where it was."""
    others: dict[str, str] = {}
    while len(others) < len(named):
        new = words.nonsense(rng, 1)[0].capitalize()
        old = named[len(others)]
        if new not in seen and new not in others.values():
            others[old] = new.upper() if old.isupper() else new
    return others


def _other(rng: random.Random, old: str, taken: set[str]) -> str:
    """Another number like `old`; one that is not `taken` where such is found."""
    if len(old) == 4 and old.isdigit() and _FIRST_YEAR <= int(old) <= _LAST_YEAR:
        years = range(max(_FIRST_YEAR, int(old) - _YEARS_OFF), min(_LAST_YEAR, int(old) + _YEARS_OFF) + 1)
        drawn = [str(year) for year in rng.sample(years, len(years))]
    else:
        drawn = [
            "".join(_digit(rng, mark, at == 0 < len(old) - 1) for at, mark in enumerate(old)) for _ in range(_DRAWS)
        ]
    usable = [new for new in drawn if new != old]
    return next((new for new in usable if new not in taken), usable[0])


def _digit(rng: random.Random, mark: str, leads: bool) -> str:
    return str(rng.randint(int(leads), 9)) if mark.isdigit() else mark
