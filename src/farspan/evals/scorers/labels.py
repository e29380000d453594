"""Answers that are one or more of a few labels."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.text import first_sentence, last_question, straight
from farspan.tasks import Turn


def label_set(text: str, turn: Turn) -> Score:
    """1 when the labels of the reply's first sentence are exactly the gold ones (BABILong; Kuratov et al. 2024).

    options: `labels`, all of them (without it the gold ones and the decoys); `question`, the sentence whose own labels
    do not count (without it the last one of the query with a question mark); `ordered`, then order and number of the
    labels count as well; `aliases`, other words for labels, such as {"2": "two"}. Upstream's strict rule looks for
    substrings, so that it finds `bed` in `bedroom`, and its loose one takes a reply that names every label for right.
    """
    gold = [straight(label).casefold() for label in turn.gold]
    labels = {straight(label).casefold() for label in turn.options.get("labels", turn.decoys)} | set(gold)
    question = str(turn.options.get("question") or last_question(turn.query))
    asked = set(_found(question, labels)) - set(gold)
    aliases = {str(word).casefold(): str(label).casefold() for word, label in turn.options.get("aliases", {}).items()}
    said = [aliases.get(word, word) for word in _found(first_sentence(text), labels | set(aliases))]
    found = [label for label in said if label not in asked]
    ordered = turn.options.get("ordered")
    right = found == gold if ordered else bool(found) and set(found) == set(gold)
    return Score(float(right), null=not found, parsed=found[:50])


def _found(text: str, labels: set[str]) -> list[str]:
    """The labels in a text, as whole words, in their order; of two that overlap the longer one."""
    known = "|".join(re.escape(label) for label in sorted(labels, key=lambda label: (-len(label), label)) if label)
    if not known:
        return []
    return re.findall(rf"(?<![^\W_])(?:{known})(?![^\W_])", " ".join(straight(text).casefold().split()))
