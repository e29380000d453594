"""Changes to a set of documents with questions that keep the answers in them and take away what helps from outside.

Pure functions over documents, questions and answers, for generated sets and those read from files alike: `altered`
(Giraffe's AltQA; Pal et al. 2023), `confusing` and `replaced` (LV-Eval; Yuan et al. 2024). The documents stay in their
order. Nothing here knows where the documents are from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from farspan.tasks.material.naming import POINTERS, SENTENCE, TOKEN, another, lexicon, renamed, runs

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_FIRST_YEAR, _LAST_YEAR, _YEARS_OFF = 1000, 2100, 10
_DRAWS, _WORDS_BESIDE = 50, 2


@dataclass(frozen=True, slots=True)
class Quiz:
    """Documents, and questions that they answer; the answers of a question are all right ways to word one answer.

    decoys: wrong answers that may stand in the documents, which are changed with them.
    """

    documents: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    decoys: tuple[str, ...] = ()

    def texts(self) -> list[str]:
        """Documents, questions and answers, piece by piece."""
        return [*self.documents, *self.questions, *(answer for several in self.answers for answer in several)]


def substituted(quiz: Quiz, others: Mapping[str, str]) -> Quiz:
    """The quiz with every word or number that is a key of `others` exchanged, everywhere and at once."""
    return Quiz(
        tuple(_exchanged(text, others) for text in quiz.documents),
        tuple(_exchanged(text, others) for text in quiz.questions),
        tuple(tuple(_exchanged(text, others) for text in several) for several in quiz.answers),
        tuple(_exchanged(text, others) for text in quiz.decoys),
    )


def altered(quiz: Quiz, rng: random.Random) -> Quiz:
    """Exchange the number that answers a question for another one everywhere, so that it cannot be known beforehand.

    A year (1000 to 2100) becomes one at most ten years off, any other number one of the same digits' count, where it
    can be one that the quiz does not hold yet. Questions whose answer is no number (see `number`) stay as they are.
    """
    return substituted(quiz, _numbers(quiz, rng, lexicon(quiz.texts()).seen))


def replaced(quiz: Quiz, rng: random.Random) -> Quiz:
    """Rename all that has a name, word by word and everywhere, to other names of the same make; and alter numbers.

    All names are changed, so that those of questions and answers do not stand out; see `naming.renamed` and `altered`.
    """
    held = lexicon(quiz.texts())
    return substituted(quiz, _numbers(quiz, rng, held.seen) | renamed(rng, held))


def confusing(quiz: Quiz, sentences: Iterable[str], rng: random.Random) -> Quiz:
    """Put each sentence at the end of some document, where it stands before no sentence that says `it` or `he`.

    `contradiction` makes such sentences.
    """
    documents = list(quiz.documents)
    for sentence in sentences:
        at = rng.randrange(len(documents))
        documents[at] = f"{documents[at]} {sentence}"
    return replace(quiz, documents=tuple(documents))


def contradiction(document: str, question: str, answers: Sequence[str], rng: random.Random) -> str:
    """The sentence of the document that holds an answer, said of something else, and with another answer.

    One name that the question has too becomes another name of the document, so that both stay true. The answer becomes
    a number near it, or another name of the document. Empty where that cannot be done: sentence and question share no
    name beside the answer, the answer is neither name nor number, or the document has no other names.
    """
    held = lexicon([document])
    names, asked, right = set(held.names), set(TOKEN.findall(question)), set(TOKEN.findall(" ".join(answers)))
    every = runs(document, names)
    for sentence in SENTENCE.split(document):
        found = next((one for one in answers if re.search(_whole([one]), sentence)), None)
        tokens = TOKEN.findall(sentence)
        if found is None or tokens[0] in POINTERS:
            continue
        taken = {*tokens, *asked, *right}
        free = [run for run in every if taken.isdisjoint(run.split(" "))]
        meant = [run for run in runs(sentence, names - right) if not asked.isdisjoint(run.split(" "))]
        old = rng.choice(meant) if meant else ""
        new = another(rng, old, free)
        wrong = _wrong(rng, found, names, [run for run in free if run != new], held.seen)
        if old and new and wrong:
            return _said_of_others(sentence, {old: new, found: wrong})
    return ""


def number(answers: Sequence[str]) -> str:
    """The one number that all these answers give, with two words beside it at the most; empty where there is none."""
    found: set[str] = set()
    for answer in answers:
        tokens = TOKEN.findall(answer)
        if len(tokens) > 1 + _WORDS_BESIDE or not any(map(_NUMBER.fullmatch, tokens)):
            return ""
        found |= {token for token in tokens if _NUMBER.fullmatch(token)}
    return found.pop() if len(found) == 1 else ""


def _numbers(quiz: Quiz, rng: random.Random, seen: Iterable[str]) -> dict[str, str]:
    """Another number for every one that answers a question."""
    taken = set(seen)
    others: dict[str, str] = {}
    for old in filter(None, map(number, quiz.answers)):
        if old not in others:
            others[old] = _other(rng, old, taken)
            taken.add(others[old])
    return others


def _wrong(rng: random.Random, answer: str, names: Collection[str], free: Sequence[str], seen: Collection[str]) -> str:
    """The answer with other numbers near its own; with another name for its longest where it has no number."""
    near = {token: _other(rng, token, seen, kept=1) for token in TOKEN.findall(answer) if _NUMBER.fullmatch(token)}
    if near:
        return _exchanged(answer, near)
    old = max(runs(answer, names), key=len, default="")
    new = another(rng, old, free)
    return answer.replace(old, new) if old and new else ""


def _said_of_others(sentence: str, others: Mapping[str, str]) -> str:
    return re.sub(_whole(others), lambda match: others[match[0]], sentence)


def _whole(phrases: Iterable[str]) -> str:
    """A pattern for any of these phrases, where no word goes on."""
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, phrases))})(?!\w)"


def _exchanged(text: str, others: Mapping[str, str]) -> str:
    return TOKEN.sub(lambda match: others.get(match[0], match[0]), text) if others else text


def _other(rng: random.Random, old: str, taken: Collection[str], *, kept: int = 0) -> str:
    """Another number like `old`; one that is not `taken` where such is found.

    kept: how many of the first digits stay, of a number that has more and is no year.
    """
    if len(old) == 4 and old.isdigit() and _FIRST_YEAR <= int(old) <= _LAST_YEAR:
        years = range(max(_FIRST_YEAR, int(old) - _YEARS_OFF), min(_LAST_YEAR, int(old) + _YEARS_OFF) + 1)
        drawn = [str(year) for year in rng.sample(years, len(years))]
    else:
        same = kept if len(old) > kept else 0
        drawn = [
            old[:same] + "".join(_digit(rng, mark, at == 0 < len(old) - 1) for at, mark in enumerate(old) if at >= same)
            for _ in range(_DRAWS)
        ]
    usable = [new for new in drawn if new != old]
    return next((new for new in usable if new not in taken), usable[0])


def _digit(rng: random.Random, mark: str, leads: bool) -> str:
    return str(rng.randint(int(leads), 9)) if mark.isdigit() else mark
