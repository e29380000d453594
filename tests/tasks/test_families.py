"""The contract of every task family and preset: fits, is repeatable, earns what it should and nothing more."""

from __future__ import annotations

import json
import math
import random
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from farspan import models, tasks
from farspan.evals.scorers import score
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN

WORD = re.compile(r"\s+|\w+|[^\w\s]")
PROSE = "It was late. The rain had stopped, and nobody\nspoke of it! Who would have thought so? " * 3
BPE = Tokenizer.from_file(str(Path(models.__path__[0]) / "tiny" / "tokenizer.json"))
TOKENIZERS: dict[str, Callable[[str], int]] = {
    "words": lambda text: sum(1 for token in WORD.findall(text) if token != " "),
    "characters": lambda text: math.ceil(len(text) / 4),
    "bpe": lambda text: len(BPE.encode(text, add_special_tokens=False).ids),
}
FRAME = tasks.Frame(4, 2, 3, 5)
FAMILIES = [name for name in tasks.names() if not tasks.needs(name)]
NAMES = sorted({*FAMILIES, *(name for name, (family, _) in tasks.presets().items() if family in FAMILIES)})
CELLS = 200
SHUFFLED = 40


def space(length: int, tokenizer: str = "words", mode: str = MULTI_REQUEST) -> tasks.Space:
    return tasks.Space(length, TOKENIZERS[tokenizer], frame=FRAME, modes=(mode,))


def total(sample: tasks.Sample, room: tasks.Space) -> int:
    """The tokens of everything, counted again from the sample alone."""
    sizes = [
        room.count(turn.query) + room.count(turn.prefix) + turn.max_new_tokens + FRAME.tail for turn in sample.turns
    ]
    asked = sum(sizes) + FRAME.between * (len(sizes) - 1) if MULTI_TURN in room.modes else max(sizes)
    return FRAME.head + room.count(sample.document) + FRAME.gap + asked


def cells() -> list[tuple[str, int, str, str]]:
    rng = random.Random(20)
    every = [NAMES[i % len(NAMES)] for i in range(CELLS)]
    return [
        (name, int(1024 * 2 ** rng.uniform(0, 3)), rng.choice(list(TOKENIZERS)), rng.choice(tasks.get(name).card.modes))
        for name in every
    ]


@pytest.mark.parametrize(("name", "length", "tokenizer", "mode"), cells())
def test_prompt_and_answer_fit_and_fill_the_length(name: str, length: int, tokenizer: str, mode: str) -> None:
    room = space(length, tokenizer, mode)
    sample = tasks.get(name).sample(length % 5, seed=3, space=room)
    assert all(turn.max_new_tokens >= room.count(turn.answer) > 0 for turn in sample.turns if turn.scorer != "opening")
    assert 0.97 * length <= total(sample, room) <= length


@pytest.mark.parametrize("name", NAMES)
def test_a_small_one_fits_512_words(name: str) -> None:
    room = space(512)
    assert 0.97 * 512 <= total(tasks.get(name).sample(0, seed=1, space=room), room) <= 512


@pytest.mark.parametrize("name", NAMES)
def test_scores(name: str) -> None:
    """The right answer earns 1; nothing, and an echo of the whole context, earn 0; another's answer, chance."""
    task, room = tasks.get(name), space(1100)
    samples = [task.sample(number, seed=0, space=room) for number in range(SHUFFLED)]
    for sample in samples:
        for turn in sample.turns:
            right, empty = score(turn.answer, turn), score("", turn)
            assert right.value == 1, (turn.query, turn.answer, right)
            assert empty.value == 0 and empty.null
            assert score(sample.document, turn).value == 0, turn.query
    pairs = [
        (turn, samples[(number + step) % SHUFFLED].turns[place % len(samples[(number + step) % SHUFFLED].turns)])
        for number, sample in enumerate(samples)
        for place, turn in enumerate(sample.turns)
        for step in range(1, 9)
    ]
    values = [score(other.answer, turn).value for turn, other in pairs]
    noise = 4 * max(statistics.pstdev(values), 0.05) / math.sqrt(SHUFFLED)
    assert abs(statistics.fmean(values) - task.chance) <= 0.02 + noise


@pytest.mark.parametrize("name", NAMES)
def test_the_same_number_gives_the_same_sample(name: str) -> None:
    task, room = tasks.get(name), space(900)
    first = [task.sample(number, seed=0, space=room) for number in range(2)]
    assert list(task.samples(2, seed=0, space=room)) == first
    assert first[0] != first[1] != task.sample(1, seed=1, space=room)
    assert tasks.parse(str(task)).sample(1, seed=0, space=room) == first[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_plain_and_its_evidence_lies_inside(name: str) -> None:
    sample = tasks.get(name).sample(0, seed=5, space=space(1024))
    assert json.loads(json.dumps(sample.as_dict()))["turns"]
    for turn in sample.turns:
        assert turn.query.strip() and turn.scorer
        assert turn.query not in sample.document
        for start, end in sample.spans(turn):
            assert 0 <= start < end <= len(sample.document)


@pytest.mark.parametrize("name", FAMILIES)
def test_several_questions_share_a_context(name: str) -> None:
    task = tasks.get(name)
    if not task.takes("turns"):
        return
    sample = tasks.get(name, turns=3).sample(0, seed=2, space=space(3000))
    assert len({turn.query for turn in sample.turns}) == len(sample.turns)


@pytest.mark.parametrize("name", ["niah_single_1", "niah_single_2", "niah_multikey_1", "key_value", "several"])
def test_a_value_stands_once(name: str) -> None:
    for number in range(20):
        sample = tasks.get(name).sample(number, seed=0, space=space(900))
        for turn in sample.turns:
            for value in turn.gold:
                shown = sum(sample.document[start:end].count(value) for start, end in sample.spans(turn))
                assert shown == sample.document.count(value) == 1


def test_quotes_are_verbatim_and_occur_once() -> None:
    for number in range(30):
        sample = tasks.get("quotes").sample(number, seed=0, space=space(600))
        for turn in sample.turns:
            quote = turn.query.removeprefix('Continue the quote: "').removesuffix('"')
            assert len(quote.split()) == 8
            assert sample.document.count(quote) == 1
            assert quote + turn.answer in sample.document


def test_needles_lie_at_every_depth() -> None:
    task = tasks.get("niah_single_2")
    samples = [task.sample(number, seed=0, space=space(1000)) for number in range(60)]
    depths = [sample.depth(sample.turns[0]) or 0.0 for sample in samples]
    assert min(depths) < 0.15
    assert max(depths) > 0.85


@pytest.mark.parametrize("name", ["needle", "key_value"])
def test_long_documents_are_fast(name: str) -> None:
    room = space(200_000, "characters")
    assert 194_000 <= total(tasks.get(name).sample(0, seed=0, space=room), room) <= 200_000
