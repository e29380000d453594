"""Text of any length to tokens with the characters that they cover, in one pass and bounded memory.

The text is tokenised in windows that overlap. A window's tokens are taken up to a *cut*, a place where the tokenizer
ends a token whatever follows; the next window begins a little before it, and is accepted when it gives the same tokens
in the part that both have seen. So the result equals that of the whole text at once, also for tokenizers that treat
the beginning of a text in their own way (SentencePiece's space in front). Only where a text has no such place for
`bound` characters (a run of letters without end) is it cut between any two tokens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from farspan.text.plain import plain_backend, raw_backend
from farspan.text.unicode import to_utf8

WINDOW = 16_384  # characters tokenised at a time
BOUND = 131_072  # characters without a safe place to cut, after which any place will do
CONTEXT = 256  # characters of a window that the window before has seen too
_AGREEING = 8  # tokens of the context that must come out as they did before
MARGIN = 64  # characters at the end of a window that are not trusted: what follows could change their tokens


class TokenPiece(NamedTuple):
    """Consecutive tokens and the characters `[start, end)` that each covers.

    Starts and ends never decrease. A character that takes several tokens is in the span of each of them.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]


class _Window(NamedTuple):
    ids: list[int]
    starts: list[int]
    ends: list[int]
    words: list[int]

    def is_boundary(self, index: int, at: int) -> bool:
        before = index == 0 or self.ends[index - 1] <= at
        return before and (index == len(self.ids) or self.starts[index] >= at)


class _Seam(NamedTuple):
    """Where the next window may begin (farthest first), where its new tokens begin, and the tokens before that."""

    contexts: list[int]
    cut: int
    ids: list[int]


class TextEncoder:
    """Turns text into tokens with a Hugging Face fast tokenizer; makes its own copy of it, once.

    Special tokens are not added, and recognised only with `controls`: without, "</s>" in a text is three ordinary
    characters or so, and never the token of that name. ModelError when the tokenizer is not a fast one;
    InputError for text that holds half of a surrogate pair.
    """

    def __init__(self, tokenizer: Any, *, window: int = WINDOW, bound: int = BOUND, controls: bool = False) -> None:
        self._backend = raw_backend(tokenizer) if controls else plain_backend(tokenizer)
        self._window = window
        self._bound = max(bound, window)
        self._context = min(CONTEXT, window // 2)
        self._margin = min(MARGIN, window // 4)

    def encode(self, text: str) -> TokenPiece:
        """The tokens of a text that is held whole; one that is longer than `bound` is tokenised in windows too."""
        if len(text) > self._bound:
            pieces = list(self.stream([text]))
            ids, starts, ends = ([one for piece in pieces for one in piece[part]] for part in range(3))
            return TokenPiece(ids, starts, ends)
        window = self._encode(text)
        return TokenPiece(window.ids, window.starts, window.ends)

    def stream(self, pieces: Iterable[str], *, offset: int = 0, context: str = "") -> Iterator[TokenPiece]:
        """The tokens of a text that comes in pieces, some thousand at a time.

        To go on in the middle of a text, give the pieces from there on, `offset`, the character at which they begin,
        and `context`, some of the text just before: spans then count from the beginning of the text, and the tokens
        are those that reading without a break gives.
        """
        step = max(self._window // 4, 1)
        supply = (piece[at : at + step] for piece in pieces for at in range(0, len(piece), step))
        text, base, final, target = context, offset - len(context), False, self._window
        seam = _first_seam(context)
        while True:
            while not final and len(text) < seam.cut + target:
                piece = next(supply, None)
                final = piece is None
                text += piece or ""
            if len(text) == seam.cut:
                return
            window, first = self._align(text, seam)
            last = len(window.ids) if final else self._find_cut(window, text, first, desperate=target >= self._bound)
            if last is None:
                target = 2 * target
                continue
            if last > first:
                yield _shifted(window, first, last, base)
            if final:
                return
            seam, dropped = _next_seam(window, last, len(text), self._context)
            text, base, target = text[dropped:], base + dropped, self._window

    def _encode(self, text: str) -> _Window:
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except TypeError:
            to_utf8(text, "the text")
            raise
        starts, ends = [], []
        start = end = 0
        for token_start, token_end in encoding.offsets:
            start, end = max(start, token_start), max(end, token_end)
            starts.append(start)
            ends.append(end)
        words = [-1 if word is None else word for word in encoding.word_ids]
        return _Window(encoding.ids, starts, ends, words)

    def _align(self, text: str, seam: _Seam) -> tuple[_Window, int]:
        """Tokenise with as much of the context as agrees with the window before; also the first new token."""
        for context in seam.contexts:
            window = self._encode(text[context:])
            window = window._replace(
                starts=[start + context for start in window.starts],
                ends=[end + context for end in window.ends],
            )
            first = bisect_left(window.starts, seam.cut)
            if context == seam.cut:
                break
            known = max(min(_AGREEING, first - 1, len(seam.ids)), 0)
            agree = window.ids[first - known : first] == seam.ids[len(seam.ids) - known :]
            if agree and window.is_boundary(first, seam.cut):
                break
        return window, first

    def _find_cut(self, window: _Window, text: str, first: int, *, desperate: bool) -> int | None:
        """The token before which to cut: before white space if it can be, else between words, else None.

        The two last words and the margin are left out, as what follows may change them. `desperate` takes any token.
        """
        one_word = not window.words or window.words[0] == window.words[-1]
        between_words = between_tokens = None
        for index in range(len(window.ids) - 1, first, -1):
            at = window.starts[index]
            if len(text) - at < self._margin or window.ends[index - 1] > at:
                continue
            between_tokens = between_tokens or index
            if not one_word:
                if window.words[-1] - window.words[index] < 2 or window.words[index] == window.words[index - 1]:
                    continue
                if not (text[at].isdigit() and text[at - 1].isdigit()):
                    between_words = between_words or index
            if text[at].isspace() and not text[at - 1].isspace():
                return index
        return between_words or ((between_tokens or len(window.ids)) if desperate else None)


def encode_pieces(tokenizer: Any, pieces: Iterable[str], *, offset: int = 0, context: str = "") -> Iterator[TokenPiece]:
    """`TextEncoder.stream` for a tokenizer, or for a TextEncoder made before."""
    encoder = tokenizer if isinstance(tokenizer, TextEncoder) else TextEncoder(tokenizer)
    return encoder.stream(pieces, offset=offset, context=context)


def _first_seam(context: str) -> _Seam:
    if not context:
        return _Seam([0], 0, [])
    words = (at for at in range(1, len(context)) if context[at].isspace() and not context[at - 1].isspace())
    return _Seam([next(words, 0), 0, len(context)], len(context), [])


def _next_seam(window: _Window, last: int, length: int, reach: int) -> tuple[_Seam, int]:
    """The seam after a cut before token `last`, and how many characters of the text lie before its context."""
    cut = window.starts[last] if last < len(window.ids) else length
    begin = bisect_left(window.starts, cut - reach, hi=last)
    between_tokens = [index for index in range(begin, last) if window.is_boundary(index, window.starts[index])]
    between_words = [index for index in between_tokens if index == 0 or window.words[index] != window.words[index - 1]]
    fit = between_words or between_tokens
    tried = dict.fromkeys((fit[0], fit[len(fit) // 2])) if fit else {}
    contexts = [window.starts[index] for index in tried]
    dropped = contexts[0] if contexts else cut
    known = window.ids[fit[0] : last] if fit else []
    return _Seam([*(start - dropped for start in contexts), cut - dropped], cut - dropped, known), dropped


def _shifted(window: _Window, first: int, last: int, base: int) -> TokenPiece:
    starts = [base + start for start in window.starts[first:last]]
    ends = [base + end for end in window.ends[first:last]]
    return TokenPiece(window.ids[first:last], starts, ends)
