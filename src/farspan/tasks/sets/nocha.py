"""NoCha: claims on whole novels in pairs, of which one is true and one is false; the published sample of them.

A row has the fields `book_title`, `claim`, `type` (true or false) and `index` (of the pair). The books are text files
of your own, called like their title: `the_great_gatsby_f_scott_fitzgerald.txt`. Pickles are never opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farspan.errors import InputError
from farspan.tasks.files.questions import spread
from farspan.tasks.files.rows import Row, field, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="all",
    diffusion="scattered",
    source="NoCha (Karpinska et al. 2024), its public sample; claims are scored one by one; the files are the user's",
    chance=0.5,
    modes=("multi_request",),
)
_HOW = "Going by the book above, is all of this claim true? Answer TRUE or FALSE."
_LABELS = {"true": "TRUE", "false": "FALSE"}


def read(path: str, *, books: str = "", pairs: int = 0) -> Iterator[Sample]:
    """A sample for each book, with its claims, both of a pair one after the other (`pair` in the turn's options).

    books: the folder of the books' texts, without it the folder that the claims lie in. pairs: the most pairs on a
    book, 0 for all. Raises InputError for a file, row or field that is not as described, and for a missing book.
    """
    at = Path(path)
    folder = Path(books) if books else (at if at.is_dir() else at.parent)
    shelves: dict[str, dict[str, list[Row]]] = {}
    for row in rows(path):
        shelves.setdefault(text(row, "book_title"), {}).setdefault(text(row, "index"), []).append(row)
    for title, claims in shelves.items():
        yield _sample(title, _book(folder / f"{title}.txt"), spread(list(claims.values()), pairs))


def _sample(title: str, book: str, pairs: list[list[Row]]) -> Sample:
    first = pairs[0][0]
    turns = tuple(_turn(row) for pair in pairs for row in pair)
    meta = {"dataset": "nocha", "book": title, "genre": first.get("genre"), "tokens": first.get("length")}
    return Sample((Segment(book.strip() + "\n\n"),), turns, meta)


def _turn(row: Row) -> Turn:
    label = _LABELS.get(str(field(row, "type")).strip().lower())
    if label is None:
        raise row.wrong("field 'type' is neither true nor false")
    # The query names both labels; without a question of its own, the scorer would leave them out of the reply.
    options = {"labels": ["TRUE", "FALSE"], "question": "-", "pair": text(row, "index")}
    return Turn(
        f"Claim: {text(row, 'claim').strip()}\n{_HOW}", label, (label,), "label_set", options, max_new_tokens=32
    )


def _book(path: Path) -> str:
    try:
        held = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"there is no text of the book {path} ({type(error).__name__})", fix="write it there, as UTF-8 text"
        ) from error
    if not held.strip():
        raise InputError(f"{path} is empty", fix="write the book's text there")
    return held
