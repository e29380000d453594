"""PDF to text, page by page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import BinaryIO

from farspan.errors import InputError

_BETWEEN = "\n\n"
_KEPT_PAGES = 16  # pages between clearing the parser's cache, which would else grow with the file


def read(file: BinaryIO, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The text layer of a PDF, a blank line between pages.

    Raises InputError when the file is damaged, needs a password, or has no text (a scan).
    """
    from pypdf import PdfReader

    _keep_off_stderr("pypdf")
    try:
        document = PdfReader(file)
        locked = document.is_encrypted and not _unlocked(document.decrypt)
        pages = 0 if locked else len(document.pages)
    except Exception as error:  # pypdf raises whatever a broken file leads it to
        raise _damaged(name, str(error)) from error
    if locked:
        raise InputError(
            f"{name} is an encrypted PDF",
            fix="save a copy without the password: qpdf --password=... --decrypt IN OUT",
        )
    blank = True
    for number in range(pages):
        try:
            text = document.pages[number].extract_text()
        except Exception as error:
            raise _damaged(name, f"page {number + 1} of {pages}: {error}") from error
        if text.strip():
            # Fonts without a proper table can give half surrogate pairs, which are no text.
            yield ("" if blank else _BETWEEN) + text.encode("utf-8", "replace").decode()
            blank = False
        if number % _KEPT_PAGES == _KEPT_PAGES - 1:
            document.resolved_objects.clear()
    if blank:
        raise InputError(
            f"{name} has {pages} pages and no text in them (a scan?)",
            fix="run text recognition first: ocrmypdf IN OUT",
        )


def _keep_off_stderr(logger: str) -> None:
    """What is logged there goes to handlers that somebody has set up, and no longer to stderr where nobody has."""
    handlers = logging.getLogger(logger).handlers
    if not handlers:
        handlers.append(logging.NullHandler())


def _unlocked(decrypt: Callable[[str], object]) -> bool:
    from pypdf.errors import DependencyError

    try:
        return bool(decrypt(""))
    except DependencyError:
        return False


def _damaged(name: str, reason: str) -> InputError:
    return InputError(f"{name} is a damaged PDF: {reason}", fix="repair it: qpdf IN OUT, or mutool clean IN OUT")
