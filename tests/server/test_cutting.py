"""Where reading is noted: near the end of long texts, at paragraphs, before the last message; nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farspan.engine.conversation import Markup, Part, Passage
from farspan.server.cutting import Stop, stops

HEAD, TAIL = Markup((1,)), Markup((2,))
TEXTS = st.lists(st.sampled_from(["word", "\n\n", "\n", ". ", " ", "x" * 300, "yy " * 2000]), max_size=30).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_cut_is_the_whole_text_in_order(texts: list[str]) -> None:
    parts: list[Part] = [part for text in texts for part in (HEAD, Passage(text, "m"))] + [TAIL]
    found = [stop.part for stop in stops(parts)]
    assert "".join(part.text for part in found if isinstance(part, Passage)) == "".join(texts)
    assert sum(isinstance(part, Markup) for part in found) == len(texts) + 1


@given(TEXTS)
def test_a_piece_says_what_came_before_it(text: str) -> None:
    at, lines = 0, 0
    for stop in stops([HEAD, Passage(text, "m"), TAIL]):
        if isinstance(stop.part, Passage):
            assert stop.part.rest == (at, lines)
            at, lines = at + len(stop.part.text), lines + stop.part.text.count("\n")


def noted(text: str) -> list[int]:
    """How many characters of a text come after where it is noted."""
    found = [stop.part for stop in stops([HEAD, Passage(text, "m"), TAIL]) if stop.noted]
    return [len(text) - part.rest[0] - len(part.text) for part in found if isinstance(part, Passage)]


def test_a_long_text_is_noted_ever_closer_to_its_end_at_paragraphs() -> None:
    text = "".join(f"Paragraph {number} has some words in it.\n\n" for number in range(10_000)) + "What is it?"
    found = stops([HEAD, Passage(text, "m"), TAIL])
    assert all(stop.part.text.endswith("\n\n") for stop in found if stop.noted and isinstance(stop.part, Passage))
    *far, question = noted(text)
    assert [0.9 * most < chars <= most for chars, most in zip(far, (131_072, 16_384, 2_048), strict=True)] == [True] * 3
    assert question == len("What is it?")
    assert found[-2] == Stop(Passage("What is it?", "m", (len(text) - 11, text.count("\n"))))


def test_a_text_of_one_paragraph_is_noted_near_its_end_too() -> None:
    left = noted("word " * 4000)
    assert [0.9 * most < chars <= most for chars, most in zip(left, (2_048, 256), strict=True)] == [True] * 2
    assert noted("word " * 40) == []


def test_short_texts_and_the_question_are_no_sources() -> None:
    parts = [
        HEAD,
        Passage("Be brief.", "message 1"),
        HEAD,
        Passage("The text is short.\n\nWhat is it?", "message 2"),
        TAIL,
    ]
    cited = [(stop.part.text, stop.cited) for stop in stops(parts) if isinstance(stop.part, Passage)]
    assert cited == [("Be brief.", False), ("The text is short.\n\n", True), ("What is it?", False)]
    assert not any(stop.cited for stop in stops([HEAD, Passage("nobody's words " * 40), HEAD, Passage("?", "m"), TAIL]))


@given(TEXTS, TEXTS)
def test_who_goes_on_in_the_middle_of_a_text_has_the_same_parts_as_who_reads_it_all(text: str, question: str) -> None:
    behind: list[Part] = [TAIL, Passage(question, "q"), TAIL]
    whole = [(stop.part, stop.cited) for stop in stops([HEAD, Passage(text, "m"), *behind])]
    for number, (part, _) in enumerate(whole[1:], 1):
        if isinstance(part, Passage) and part.name == "m":
            rest = Passage(text, "m").after(part.rest[0])
            assert [(stop.part, stop.cited) for stop in stops([rest, *behind])] == whole[number:]


def test_what_comes_before_the_last_message_is_noted_where_it_is_not_next_to_nothing() -> None:
    long = [
        HEAD,
        Passage("words " * 40, "a"),
        HEAD,
        Passage("more words " * 20, "b"),
        TAIL,
        Passage("And now?", "c"),
        TAIL,
    ]
    assert [stop.noted for stop in stops(long)] == [False, False, False, False, True, False, False]
    short = [HEAD, Passage("Hello.", "a"), HEAD, Passage("And now?", "c"), TAIL]
    assert not any(stop.noted for stop in stops(short))
