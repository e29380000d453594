"""Stories in prose: a reader of the text alone, which plays the world out again, comes to the same answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from farspan.tasks.kit import fillers, words
from farspan.tasks.material import worlds
from farspan.tasks.material.stories import stories

WORD = re.compile(r"\s+|\w+|[^\w\s]")
PEOPLE, THINGS = "|".join(worlds.PEOPLE), "|".join(worlds.THINGS)
SENTENCE = re.compile(rf"(?:{PEOPLE}) [^.]*\.")
TASKS = (1, 2, 3, 5, 7, 8)


def count(text: str) -> int:
    return sum(1 for token in WORD.findall(text) if token != " ")


def draw(number: int, length: int = 700, **knobs: object) -> tasks.Sample:
    return tasks.get("babi", **knobs).sample(number, seed=3, space=tasks.Space(length, count))


class Reader:
    """Reads sentences in their order and keeps what they say."""

    def __init__(self, text: str) -> None:
        self.at: dict[str, str] = {}
        self.holder: dict[str, str] = {}
        self.trails: dict[str, list[str]] = {}
        self.gifts: list[tuple[str, str, str]] = []
        for sentence in SENTENCE.findall(text):
            self.read(sentence)

    def read(self, sentence: str) -> None:
        who, rest = sentence.rstrip(".").split(" ", 1)
        thing = re.search(rf"\b({THINGS})\b", rest)
        if thing is None:
            place = rest.split()[-1]
            self.at[who] = place
            for held, holder in self.holder.items():
                if holder == who:
                    self.trails.setdefault(held, []).append(place)
            return
        what = thing[1]
        if re.search(r"\b(handed|passed)\b", rest):
            self.holder[what] = rest.split()[-1]
            self.gifts.append((who, what, rest.split()[-1]))
        elif re.search(r"\b(took|picked|got)\b", rest):
            self.holder[what] = who
            if who in self.at:
                self.trails.setdefault(what, [self.at[who]])
        else:
            assert self.holder.get(what, who) == who
            self.holder.pop(what, None)

    def answer(self, question: str) -> set[str]:
        last = question.rstrip("?").split()[-1]
        if question.startswith("Where is the"):
            return {self.trails[last][-1]}
        if question.startswith("Where is"):
            return {self.at[last]}
        if question.startswith("Where was"):
            trail = self.trails[question.split()[3]]
            assert trail.count(last) == 1
            return {trail[trail.index(last) - 1]}
        if question.startswith("Who was"):
            what = re.search(THINGS, question)[0]
            return {[gift[0] for gift in self.gifts if gift[1:] == (what, last)][-1]}
        if question.startswith("To whom"):
            who, what = re.search(PEOPLE, question)[0], last
            return {[gift[2] for gift in self.gifts if gift[:2] == (who, what)][-1]}
        who = re.search(PEOPLE, question)[0]
        if question.startswith("What did"):
            return {[gift[1] for gift in self.gifts if gift[0] == who and gift[2] == last][-1]}
        held = {what for what, holder in self.holder.items() if holder == who}
        if question.startswith("How many"):
            return {("none", "one", "two", "three", "four")[len(held)]}
        return held or {"nothing"}


@pytest.mark.parametrize("task", TASKS)
def test_a_reader_of_the_text_finds_the_answers(task: int) -> None:
    for number in range(40):
        sample = draw(number, task=task, turns=3)
        reader = Reader(sample.document)
        for turn in sample.turns:
            assert set(turn.gold) == reader.answer(turn.options["question"])


@pytest.mark.parametrize("task", TASKS)
def test_the_evidence_is_enough(task: int) -> None:
    for number in range(40):
        sample = draw(number, task=task, turns=3)
        for turn in sample.turns:
            shown = " ".join(sample.document[start:end] for start, end in sample.spans(turn))
            assert list(turn.evidence) == sorted(turn.evidence)
            assert set(turn.gold) == Reader(shown).answer(turn.options["question"])


@pytest.mark.parametrize("task", TASKS)
def test_no_answer_is_much_likelier_than_others(task: int) -> None:
    golds = [draw(number, length=360, task=task).turns[0].gold for number in range(120)]
    assert max(golds.count(gold) for gold in golds) < 0.4 * len(golds)


def test_counts_and_nothing_may_be_said_in_other_words() -> None:
    counts = ("none", "one", "two", "three", "four")
    seen = set()
    for number in range(40):
        (turn,) = draw(number, task=7).turns
        many = counts.index(turn.gold[0])
        seen.add(many)
        assert all(word in turn.query for word in counts)
        said = [str(many), f"Imke holds {many} things."] + ["zero", "No things.", "nothing"] * (many == 0)
        assert all(score(one, turn).value == 1 for one in said)
        assert score(str(many + 1), turn).value == 0
        (turn,) = draw(number, task=8).turns
        assert all(word in turn.query for word in (*worlds.THINGS, worlds.NOTHING))
        for one in ("none", "Rufus does not hold anything.", "nothing", "0"):
            assert score(one, turn).value == float(turn.gold == ("nothing",))
    assert seen > {0, 1, 2}
    assert "nothing" not in draw(0, task=1).turns[0].query


def test_several_turns_ask_different_questions() -> None:
    sample = draw(0, task=8, turns=4)
    assert len({turn.query for turn in sample.turns}) == len(sample.turns) > 1


def test_the_prose_does_not_speak_of_the_world() -> None:
    prose = {*words.ADJECTIVES, *words.NOUNS, *words.FIRST_NAMES, *words.TRADES, *fillers._VERBS}
    assert prose.isdisjoint({*worlds.PEOPLE, *worlds.PLACES, *worlds.THINGS, *worlds.COUNTS, worlds.NOTHING})


def test_more_events_make_a_longer_story() -> None:
    assert len(SENTENCE.findall(draw(0, events=30).document)) == 30


def test_unknown_task_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no task 4"):
        draw(0, task=4)


FILE = """1 Ann went to the barn.
2 Ben went to the loft.
3 Where is Ann?\tbarn\t1
4 Ben got the rake there.
5 Where is Ben?\tloft\t2
6 What is Ben carrying?\trake\t4
7 Ann went to the loft.
8 Ben took the fork.
9 What is Ben carrying? |rake,fork|4 8
1 Cal went to the yard.
2 Where is Cal?\tyard\t1
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "qa.txt"
    file.write_text(FILE)
    return str(file)


def test_a_file_gives_stories_up_to_a_question(path: str) -> None:
    seen = set()
    for number in range(40):
        sample = draw(number, length=200, path=path)
        (turn,) = sample.turns
        question = turn.options["question"]
        seen.add((question, turn.gold))
        assert turn.options["labels"] == ["barn", "loft", "rake", "fork", "yard"]
        told = re.findall(r"(?:Ann|Ben|Cal) [^.]*\.", sample.document)
        shown = [sample.document[start:end] for start, end in sample.spans(turn)]
        if turn.gold == ("rake", "fork"):
            assert len(told) == 5
            assert shown == ["Ben got the rake there.", "Ben took the fork."]
            assert score("The rake and the fork.", turn).value == 1
            assert score("The rake.", turn).value == 0
        if turn.gold == ("yard",):
            assert told == shown == ["Cal went to the yard."]
        assert "aliases" not in turn.options
    assert len(seen) == 5


def test_a_file_of_counts_names_its_words(tmp_path: Path) -> None:
    file = tmp_path / "qa7.txt"
    file.write_text("1 Ann went to the barn.\n2 How many things does Ann hold?\tnone\t1\n")
    (turn,) = draw(0, length=200, path=str(file)).turns
    assert turn.query.endswith("none.") and score("0", turn).value == score("Nothing.", turn).value == 1


def test_earlier_questions_of_a_file_are_asked_when_nothing_can_have_changed(path: str) -> None:
    story = stories(path)[0]
    assert [one.text for one in story.standing(2)] == ["Where is Ann?"]
    assert [one.text for one in story.standing(3)] == ["What is Ben carrying?", "Where is Ben?", "Where is Ann?"]
    last = story.standing(5)
    assert [(one.text, one.gold) for one in last] == [("What is Ben carrying?", ("rake", "fork"))]
    turns = {len(draw(number, length=200, path=path, turns=3).turns) for number in range(30)}
    assert turns == {1, 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [("no numbers here\n", "line 1"), ("1 Ann left.\n", "no questions"), ("1 Where is Ann?\tbarn\t7\n", "no facts")],
)
def test_a_file_of_another_kind_says_so(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "odd.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        draw(0, path=str(file))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        draw(0, path=str(tmp_path / "none.txt"))
