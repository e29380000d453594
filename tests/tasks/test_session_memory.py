"""Session memory: a reader that goes through the chat as text, session by session, comes to the same answers."""

from __future__ import annotations

import re
from datetime import date

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks.material import topics
from farspan.tasks.material.lives import KINDS

WORD = re.compile(r"\s+|\w+|[^\w\s]")
SESSION = re.compile(r"Session (\d+), (\d{4}-\d\d-\d\d)\nUser: (.*)\nAssistant: ")


def count(text: str) -> int:
    return sum(1 for token in WORD.findall(text) if token != " ")


def draw(number: int, length: int = 1200, **knobs: object) -> tasks.Sample:
    return tasks.get("session_memory", **knobs).sample(number, seed=7, space=tasks.Space(length, count))


class Reader:
    """What a user says in the sessions of a text."""

    def __init__(self, text: str) -> None:
        self.facts: dict[str, list[str]] = {}
        self.spent: dict[str, int] = {}
        self.deeds: dict[str, date] = {}
        self.likes: list[str] = []
        for _, day, said in SESSION.findall(text + "\nAssistant: "):
            self.read(date.fromisoformat(day), said)

    def read(self, day: date, said: str) -> None:
        if fact := re.search(r"my ([a-z ]+) is (?:now )?([\w ]+?)(?: from now on)?\.$", said):
            self.facts.setdefault(fact[1], []).append(fact[2])
        elif spent := re.search(r"(\d+) crowns (?:went )?on ([a-z ]+) today", said):
            self.spent[spent[2]] = self.spent.get(spent[2], 0) + int(spent[1])
        elif said.startswith("Today I "):
            assert self.deeds.setdefault(said[8:-1], day) == day
        else:
            self.likes.append(said)

    def answer(self, query: str) -> str | None:
        if topic := re.match(r"(?:What|Who) is my ([a-z ]+?)(?: now)?\?", query):
            told = self.facts.get(topic[1])
            return told[-1] if told else None
        if topic := re.search(r"spent on ([a-z ]+) in all", query):
            return str(self.spent[topic[1]])
        if pair := re.match(r"Which came first, that I (.+) or that I (.+)\?", query):
            return min(pair.groups(), key=self.deeds.__getitem__)
        if pair := re.match(r"How many days lie between the day I (.+) and the day I (.+)\? ", query):
            return str(abs((self.deeds[pair[1]] - self.deeds[pair[2]]).days))
        if query.startswith("In which order"):
            return ", ".join(sorted(query.rpartition(": ")[2].split(", "), key=self.deeds.__getitem__))
        purpose = re.match(r"Which of these do I like best ([a-z ]+):", query)[1]
        ((_, option),) = [one for one in topics.TASTES[purpose] if any(one[0] in said for said in self.likes)]
        return option


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_a_reader_of_the_chat_finds_the_answers(kind: str) -> None:
    for number in range(12):
        sample = draw(number, kind=kind, turns=3)
        reader = Reader(sample.document)
        assert len(sample.turns) == 3
        for turn in sample.turns:
            answer = reader.answer(turn.query)
            assert (answer is None) == (turn.scorer == "abstains")
            if answer is not None:
                assert turn.answer == f" {answer}"
                shown = "\n".join(f"{sample.document[start:end]}\nAssistant: " for start, end in sample.spans(turn))
                assert Reader(shown).answer(turn.query) == answer


def test_mixed_turns_are_of_all_kinds() -> None:
    sample = draw(0, length=2000, turns=6)
    assert {turn.scorer for turn in sample.turns} > {"last_number", "kv_substring"}
    assert len({turn.query for turn in sample.turns}) == 6


def test_segments_are_messages_with_role_day_and_session() -> None:
    sample = draw(0)
    chat = [segment for segment in sample.segments if segment.role]
    assert [segment.role for segment in chat] == ["user", "assistant"] * (len(chat) // 2)
    for user, assistant in zip(chat[::2], chat[1::2], strict=True):
        assert user.text.startswith(f"{user.name}, {user.time}\n")
        assert (assistant.name, assistant.time) == (user.name, user.time)
    days = [segment.time for segment in chat[::2]]
    assert days == sorted(set(days))


def test_chatter_fills_the_length_and_what_is_told_stays_few() -> None:
    sample = draw(0, length=9000, kind="update", turns=2, others=10)
    told = [
        said for _, _, said in SESSION.findall(sample.document) if re.search(r"\bmy\b|crowns|Today I|like|fond", said)
    ]
    assert len(SESSION.findall(sample.document)) > 90
    assert 4 <= len(told) <= 2 * 3 + 10


def test_older_values_are_wrong_but_may_be_told() -> None:
    for number in range(10):
        sample = draw(number, kind="update")
        (turn,) = sample.turns
        topic = re.search(r"my ([a-z ]+?) now\?", turn.query)[1]
        told = Reader(sample.document).facts[topic]
        assert len(told) > 1
        assert score(f"It was {' and then '.join(told[:-1])}, but now it is {told[-1]}.", turn).value == 1
        assert score(f"It was {told[-1]} at first, now it is {told[0]}.", turn).value == 0
        assert score(told[0], turn).value == 0


@pytest.mark.parametrize("kind", ["preference", "temporal", "extraction", "update", "abstention"])
def test_case_does_not_matter(kind: str) -> None:
    for number in range(12):
        for turn in draw(number, kind=kind).turns:
            assert score(f"{turn.answer.upper()}.", turn).value == score(turn.answer.capitalize(), turn).value == 1


def test_a_preference_is_one_thing() -> None:
    for number in range(8):
        (turn,) = draw(number, kind="preference").turns
        assert score(f"{turn.decoys[0]} or {turn.gold[0]}", turn).value == 0
        assert score(", ".join((*turn.gold, *turn.decoys)), turn).value == 0


def test_half_of_the_abstention_questions_can_be_answered() -> None:
    gone = sum(draw(number, length=600, kind="abstention").turns[0].scorer == "abstains" for number in range(60))
    assert 18 < gone < 42


def test_a_kind_gives_as_many_turns_as_it_has() -> None:
    assert len(draw(0, length=4000, kind="preference", turns=50).turns) == len(topics.TASTES)


def test_tastes_have_one_fitting_thing_each() -> None:
    for options in topics.TASTES.values():
        assert len({option for _, option in options}) == len({taste for taste, _ in options}) == 4


def test_what_is_asked_for_may_change() -> None:
    assert not {"birthplace", "birthday", "home town"} & {topic for _, topic, _ in topics.TOPICS}


def test_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="odd"):
        draw(0, kind="odd")
