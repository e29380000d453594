"""Measuring what a method still finds: planted facts and quotes at any length."""

from __future__ import annotations

from farspan.evals.book import book_rows
from farspan.evals.recall import Row, recall_rows, summary

__all__ = ["Row", "book_rows", "recall_rows", "summary"]
