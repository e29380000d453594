"""Files to text with spans, text to tokens with spans, and both kept on disk."""

from __future__ import annotations

from farspan.text.document import Document, NoticeCallback
from farspan.text.folders import documents, open_documents, unread
from farspan.text.spool import Place, SpoolDocument, TextSpool
from farspan.text.spooled import Spooled, SpoolThen
from farspan.text.token_log import NO_TEXT, Spans, TokenLog
from farspan.text.tokens import TextEncoder, TokenPiece, encode_pieces

__all__ = [
    "Document",
    "NO_TEXT",
    "NoticeCallback",
    "Place",
    "Spans",
    "SpoolDocument",
    "SpoolThen",
    "Spooled",
    "TextEncoder",
    "TextSpool",
    "TokenLog",
    "TokenPiece",
    "documents",
    "encode_pieces",
    "open_documents",
    "unread",
]
