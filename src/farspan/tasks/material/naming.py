"""Names in texts of any kind: which words are such, and others of the same make to put in their place."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from farspan.tasks.kit import words
from farspan.tasks.material.articles import KINDS

TOKEN = re.compile(r"\w+(?:(?<=\d)[.,](?=\d)\w+)*")
SENTENCE = re.compile(r"(?<=[.!?])(?<![A-Z]\.)(?<!\.\.)\s+(?=[^\sa-z])")
POINTERS = frozenset("He She It They His Her Its Their This These That Those Such Here There Both Another Then".split())
_NO_NAMES = POINTERS | frozenset(
    "January February March April May June July August September October November December Monday Tuesday Wednesday "
    "Thursday Friday Saturday Sunday The And But For Nor Not With From Into When Where What Which Who Whom Whose How "
    "Why After Before During While Although Though Since Because However Thus Also According Many Some Most Other "
    "Several One Two Three Four Five Six Seven Eight Nine Ten You Your Our Each Every All Any Only".split()
)
_KINDS = frozenset(kind.capitalize() for kind in KINDS)
_POOLS = (words.FIRST_NAMES, words.LAST_NAMES, words.TOWNS)
_POOLED = frozenset(name for pool in _POOLS for name in pool)
_SPARE = tuple(
    "Ashby Bramwell Carrow Delmar Everard Ferris Garland Haldane Ingram Jarvis Kendal Lorimer Marlow Nevin Orford "
    "Pembury Quarles Rowland Selwyn Tarrant Underhill Varley Wickham Yardley".split()
)
_SPARE_CAPITALS = tuple("ABR CTD DLK FNV GRS HMT KPL NRV PSK TVD".split())
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All words and numbers of some texts in the order of their first places, and those that begin no sentence."""

    seen: dict[str, None]
    inside: set[str]

    @property
    def names(self) -> list[str]:
        """Words that look like names: capital first also inside a sentence, and never seen without; no months, days."""
        return [
            token
            for token in self.seen
            if token.isalpha()
            and token[0].isupper()
            and len(token) >= _SHORTEST
            and token not in _NO_NAMES
            and token not in _KINDS
            and token in self.inside
            and token.lower() not in self.seen
        ]


def lexicon(texts: Iterable[str]) -> Lexicon:
    """The words of these texts."""
    seen: dict[str, None] = {}
    inside: set[str] = set()
    for text in texts:
        for sentence in SENTENCE.split(text):
            found = TOKEN.findall(sentence)
            seen.update(dict.fromkeys(found))
            inside.update(found[1:])
    return Lexicon(seen, inside)


def renamed(rng: random.Random, held: Lexicon) -> dict[str, str]:
    """Another name for every name, no two the same.

    First names, last names and towns that the tasks use become others of these. Any other name becomes another one of
    the same texts, or one of a few that are kept for texts with hardly a name; so do those in capitals.
    """
    found = dict.fromkeys(held.names)
    rest = [name for name in found if name not in _POOLED]
    makes = [
        *_POOLS,
        [*(name for name in rest if name.isupper()), *_SPARE_CAPITALS],
        [*(name for name in rest if not name.isupper()), *_SPARE],
    ]
    others: dict[str, str] = {}
    for make in makes:
        free = [name for name in dict.fromkeys(make) if name in found or name not in held.seen]
        order = rng.sample(free, len(free))
        others |= {old: new for old, new in zip(order, [*order[1:], *order[:1]], strict=True) if old in found}
    return others


def runs(text: str, names: Collection[str]) -> list[str]:
    """Names that stand side by side as one each, such as `Ida Voss`, each once, in the order of their places."""
    found: list[str] = []
    end = -1
    for match in TOKEN.finditer(text):
        if match[0] not in names:
            continue
        if found and text[end : match.start()] == " ":
            found[-1] += f" {match[0]}"
        else:
            found.append(match[0])
        end = match.end()
    return list(dict.fromkeys(found))


def another(rng: random.Random, old: str, known: Sequence[str]) -> str:
    """One of the known names, of as many words as `old` where such is known; empty where none is known."""
    alike = [name for name in known if name.count(" ") == old.count(" ")]
    return rng.choice(alike or known) if known else ""
