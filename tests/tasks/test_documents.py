"""Documents: a reader of the numbered articles answers every question, also after they were changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Turn
from farspan.tasks.kit import words
from farspan.tasks.material.squad import read

_WORD = re.compile(r"\w+|[^\w\s]|\n")
_CHANGES = st.fixed_dictionaries({name: st.booleans() for name in ("altered", "confusing", "replaced")})
_TOLD = {
    r"In which year was (.+) opened": (r"was opened in (.+?)\.", r"been let into .+ since (.+?)\."),
    r"In which year did a fire close (.+)": (r"closed by a fire in (.+?)\.", r"shut for part of (.+?)\."),
    r"Who designed (.+)": (r"was designed by (.+?)\.", r"The plans of .+ came from (.+?)\."),
    r"Who paid for (.+)": (r"was paid for by (.+?)\.", r"([A-Z]\w+ \w+) gave the money"),
    r"Who leads (.+)": (r"is led by (.+?)\.", r"([A-Z]\w+ \w+) is the head of"),
    r"How many rooms does (.+) have": (r"has (\d+) rooms\.", r"There are (\d+) rooms"),
    r"How many metres above the sea does (.+) stand": (r"(?:stands|is) (\d+) metres",),
    r"How many people work in (.+)": (r"employs (\d+) people", r"(\d+) people work in"),
}


_PLACE = re.compile(r"[Tt]he (\w+ \w+ \w+ of [A-Z]\w+)")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 1500, **knobs: object) -> Sample:
    return tasks.get("documents", **knobs).sample(number, seed=5, space=Space(length, count))


def articles(sample: Sample) -> list[str]:
    """The texts after the marks `Document 1:` and so on."""
    parts = re.split(r"(?:^|\n\n)Document (\d+):\n", sample.document)
    assert [int(number) for number in parts[1::2]] == list(range(1, len(parts) // 2 + 1))
    return parts[2::2]


def split(article: str) -> list[str]:
    return re.split(r"(?<=\.) ", article)


def told(sentences: list[str], forms: tuple[str, ...]) -> set[str]:
    return {match[1] for one in sentences for form in forms if (match := re.search(form, one))}


def right(sample: Sample, turn: Turn) -> set[str]:
    """What the article whose first sentence names the place says of it; other places that it names do not count."""
    question = turn.query.partition("?")[0]
    name, forms = next((found[1], forms) for form, forms in _TOLD.items() if (found := re.fullmatch(form, question)))
    (sentences,) = [own for own in map(split, articles(sample)) if name.lower() in own[0].lower()]
    return told([one for one in sentences[1:] if not _PLACE.search(one)], forms)


@settings(max_examples=40, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(512, 3000), turns=st.integers(1, 4), changes=_CHANGES)
def test_a_reader_answers_every_question(number: int, length: int, turns: int, changes: dict[str, bool]) -> None:
    sample = drawn(number, length, turns=turns, **changes)
    assert len({turn.query for turn in sample.turns}) == turns
    for turn in sample.turns:
        assert right(sample, turn) == set(turn.gold)
        assert turn.gold[0].isdigit() or not changes["altered"]
        ((start, end),) = sample.spans(turn)
        evidence = sample.document[start:end]
        assert evidence.startswith("Document ")
        assert turn.gold[0] in evidence
        assert score(turn.answer, turn).value == 1
        assert all(score(decoy, turn).value == 0 for decoy in turn.decoys)
        assert all(decoy in sample.document for decoy in turn.decoys)


def test_near_duplicates_name_almost_the_same_place_and_tell_the_same() -> None:
    for number in range(10):
        sample = drawn(number, 2500, near=6)
        (turn,) = sample.turns
        name = _PLACE.findall(turn.query)[0].split()
        leads = [_PLACE.findall(one)[0].split() for one in articles(sample)]
        alike = [one for one in leads if sum(a == b for a, b in zip(one, name, strict=True)) == 4]
        assert len(alike) == 6
        assert len({tuple(one) for one in leads}) == len(leads)
        assert len(turn.decoys) >= 5


def test_a_confusing_sentence_tells_something_else_of_a_place_without_an_article() -> None:
    for number in range(10):
        plain, sample = drawn(number, 1200), drawn(number, 1200, confusing=True)
        assert all(len(_PLACE.findall(one)) == 1 for one in articles(plain))
        places = [_PLACE.findall(one) for one in articles(sample)]
        (added,) = [one[1] for one in places if len(one) == 2]
        assert added not in {one[0] for one in places}


def test_no_name_of_a_replaced_answer_stands_out() -> None:
    """Names stay names that other articles have as well, and the answer is not the only one that is left to choose."""
    known = {*words.FIRST_NAMES, *words.LAST_NAMES, *words.TOWNS}
    for number in range(20):
        sample = drawn(number, 1500, replaced=True)
        (turn,) = sample.turns
        names = set(re.findall(r"(?<=[a-z] )[A-Z][a-z]+", sample.document)) & (known | set(turn.gold[0].split()))
        if not turn.gold[0].isdigit():
            assert set(turn.gold[0].split()) <= known
            assert len(names - set(turn.query.split()) - set(turn.gold[0].split())) > 10


def test_several_questions_share_an_article_where_the_length_is_short() -> None:
    assert len({turn.evidence for turn in drawn(0, 512, turns=5).turns}) == 1
    assert len({turn.evidence for turn in drawn(0, 3000, turns=5).turns}) == 5


def written(folder: Path) -> str:
    """Two articles of three paragraphs with two questions each, and one that cannot be answered."""
    data = []
    for article in ("Oster", "Laun"):
        paragraphs = []
        for number in (3, 4, 5):
            context = (
                f"Some say that the {article} Mill has {number}70 wheels, as Ida {article}son wrote in Nr {number}."
            )
            asked = [
                (f"How many wheels has the {article} Mill in paragraph {number}?", [f"{number}70", f"{number}70"]),
                (f"Who wrote of the {article} Mill in Nr {number}?", [f"Ida {article}son", f"{article}son"]),
                ("Who knows?", []),
            ]
            qas = [{"id": "x", "question": q, "answers": [{"text": t, "answer_start": 0} for t in a]} for q, a in asked]
            paragraphs.append({"context": f"{context} And Abel Fenn of Ulm saw it. " * 3, "qas": qas})
        data.append({"title": article, "paragraphs": paragraphs})
    path = folder / "squad.json"
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return str(path)


@pytest.fixture
def squad(tmp_path: Path) -> str:
    return written(tmp_path)


def test_a_file_is_read_as_it_is(squad: str) -> None:
    held = read(squad)
    assert len(held.paragraphs) == 6
    assert held.articles == (0, 0, 0, 1, 1, 1)
    assert len(held.items) == 12
    assert held.items[0].answers == ("370",)
    assert held.items[1].answers == ("Ida Osterson", "Osterson")


@settings(max_examples=25, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(700, 2500), turns=st.integers(1, 3), changes=_CHANGES)
def test_paragraphs_of_a_file_are_documents(
    tmp_path_factory: pytest.TempPathFactory, number: int, length: int, turns: int, changes: dict[str, bool]
) -> None:
    path = written(tmp_path_factory.mktemp("file"))
    sample = drawn(number, length, path=path, turns=turns, scorer="f1", **changes)
    assert len(sample.turns) == turns
    texts = articles(sample)
    if not changes["altered"] and not changes["replaced"]:
        assert sum(text.partition(" wrote in")[0] in " ".join(read(path).paragraphs) for text in texts) == min(
            6, len(texts)
        )
    for turn in sample.turns:
        ((start, end),) = sample.spans(turn)
        assert all(answer in sample.document[start:end] for answer in turn.gold)
        assert turn.scorer == "f1"
        assert changes["altered"] <= turn.gold[0].isdigit()
        name = re.findall(r"the (\w+) Mill", turn.query)[0]
        assert f"Some say that the {name} Mill has" in sample.document[start:end]


def test_confusing_sentences_of_a_file_have_names_and_a_number_like_those_that_are_there(squad: str) -> None:
    for number in range(20):
        plain, sample = drawn(number, 700, path=squad), drawn(number, 700, path=squad, confusing=True)
        (turn,) = sample.turns
        added = [line for line in re.findall(r"Some say that .+?\.", sample.document) if line not in plain.document]
        known = set(re.findall(r"[A-Z]\w+", " ".join(read(squad).paragraphs)))
        made = [line for line in added if line.count("Abel Fenn") + line.count("Ulm")]
        assert made and set(re.findall(r"[A-Z]\w+", made[0])) <= known
        assert not any(answer in made[0].split() for answer in turn.gold)


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("changes", [{}, {"altered": True}, {"confusing": True}, {"replaced": True}])
def test_rows_of_any_set_of_questions_are_read_and_changed(
    tmp_path: Path, squad: str, kind: str, changes: dict[str, bool]
) -> None:
    held = read(squad)
    path = tmp_path / f"rows.{kind}"
    told = [
        {
            "context": held.paragraphs[item.paragraph],
            ("input" if number % 2 else "question"): item.question,
            "answers": (list(item.answers), item.answers[0], {"text": list(item.answers)})[number % 3],
            "length": 7,
        }
        for number, item in enumerate(held.items)
    ]
    told += [{"context": "No answer.", "question": "Why?", "answers": empty} for empty in ([], "", {"text": []})]
    lines = map(json.dumps, told)
    path.write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]", encoding="utf-8")
    found = read(str(path))
    assert found.paragraphs == (*held.paragraphs, "No answer.")
    assert found.articles == tuple(range(7))
    assert [item.question for item in found.items] == [item.question for item in held.items]
    assert all(set(one.answers) <= set(other.answers) for one, other in zip(found.items, held.items, strict=True))
    sample = drawn(0, 1500, path=str(path), turns=2, **changes)
    assert len(sample.turns) == 2
    for turn in sample.turns:
        ((start, end),) = sample.spans(turn)
        assert turn.gold[0] in sample.document[start:end]


def test_rows_without_the_fields_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for row, missing in (
        ({"question": "Q?", "answers": ["a"]}, "context"),
        ({"context": "a b", "answers": ["a"]}, "input"),
        ({"context": "a b", "question": "Q?"}, "answers"),
    ):
        path.write_text(json.dumps(row), encoding="utf-8")
        with pytest.raises(InputError, match=missing):
            read(str(path))


def test_paragraphs_of_the_same_article_distract_first(squad: str) -> None:
    for number in range(5):
        sample = drawn(number, 330, path=squad)
        (turn,) = sample.turns
        name = "Oster" if "Oster" in turn.query else "Laun"
        texts = articles(sample)
        assert len(texts) == 3
        assert all(f"{name} Mill" in text for text in texts)


def test_synthetic_articles_go_on_where_a_file_ends(squad: str) -> None:
    texts = articles(drawn(0, 4000, path=squad))
    assert sum(" Mill has " in text and "Ida" in text for text in texts) == 6
    assert len(texts) > 20


def test_files_that_do_not_suit_are_refused(tmp_path: Path, squad: str) -> None:
    with pytest.raises(InputError, match="no file"):
        drawn(0, path=str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="up to 20 tokens"):
        drawn(0, 40, path=squad)
    other = tmp_path / "other.json"
    for text in ('{"data": [{"title": "x"}]}', "not json", '{"data": [{"paragraphs": [{"context": "x", "qas": []}]}]}'):
        other.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"other\.json"):
            drawn(0, path=str(other))


def test_another_scorer_is_refused() -> None:
    with pytest.raises(UsageError, match="any_substring, f1"):
        drawn(0, scorer="rouge_l")
