"""Texts with one fact among filler that the bundled model is good at finding."""

from __future__ import annotations

import random

QUESTION, ANSWER = "What is the number of the copper lantern?", "48213"
FACT = f"The number of the copper lantern is {ANSWER}."
_WORDS = "the sea was calm and a grey bird went over old harbour while men spoke of wind bread long roads".split()


def filler(words: int, seed: int = 1) -> str:
    """Sentences that say nothing."""
    draw = random.Random(seed)
    paragraphs = []
    while words > 0:
        sentences = [" ".join(draw.choices(_WORDS, k=draw.randint(6, 12))).capitalize() + "." for _ in range(6)]
        words -= sum(len(sentence.split()) for sentence in sentences)
        paragraphs.append(" ".join(sentences))
    return "\n".join(paragraphs)


def with_fact(words: int) -> str:
    """Filler with the fact in the middle."""
    return f"{filler(words // 2)}\n{FACT}\n{filler(words // 2, seed=2)}"
