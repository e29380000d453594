"""Letters and boxes."""

from __future__ import annotations

import pytest

from farspan.evals.scorers import score
from farspan.tasks import Turn


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**B**", "B"),
        ("B. Paris", "B"),
        ("B) Paris, since A is wrong", "B"),
        ("The answer is B", "B"),
        ("The correct answer is (B) Paris.", "B"),
        ("Answer: **B**", "B"),
        ("The best option is B because A is false", "B"),
        ("Not A, since it rains. Final answer: B", "B"),
        ("The answer is A. No, wait. The answer is B.", "B"),
        (r"So it is \boxed{\text{B}}, not A", "B"),
        (r"\boxed{B. Paris}", "B"),
        ("A man came to town. I choose B", "B"),
        ("A man came to town, so option B it is", "B"),
        ("The answer is A because of it", "A"),
        ("The correct answer is A based on the document.", "A"),
        ("The answer is A according to the passage.", "A"),
        ("Answer: A from the list", "A"),
        ("I choose A here.", "A"),
        ("Option A fits best.", "A"),
        ("The answer is a matter of taste.", ""),
        ("Answer: A matter of taste", ""),
        ("The answer is A letter from the king", ""),
        ("The answer is B, D is wrong.", "B"),
        ("The answer is B, and D isn't supported.", "B"),
        ("The answer is B, C and D are wrong.", "B"),
        ("The answer is B, a man says.", "B"),
        ("The answer is B, D.", ""),
        ("The answer is B, or D.", ""),
        ("The answer is B, C is also correct.", ""),
        ("A or B seems near", ""),
        ("A and B are wrong", ""),
        ("B and C are right", ""),
        ("I think it is option D", "D"),
        ("A or B", ""),
        ("The answer is A or B", ""),
        ("A, B, C and D", ""),
        ("A man came", ""),
        ("Because of Paris", ""),
        ("Maybe C, maybe D", ""),
        ("Z", ""),
    ],
)
def test_letters(reply: str, chosen: str) -> None:
    for letter in "ABCD":
        result = score(reply, Turn("?", letter, scorer="mcq_letter"))
        assert result.parsed == chosen and result.value == float(letter == chosen) and result.null == (not chosen)


def test_other_letters() -> None:
    turn = Turn("?", "(F)", scorer="mcq_letter", options={"letters": "ABCDEF"})
    assert score("F", turn).value == 1 and score("The answer is F.", turn).value == 1 and score("G", turn).value == 0


def test_the_word_i_is_no_letter() -> None:
    turn = Turn("?", "B", scorer="mcq_letter", options={"letters": "ABCDEFGHI"})
    replies = ("The answer is B, I think.", "I based my answer on B", "I choose I think")
    assert [score(reply, turn).parsed for reply in replies] == ["B", "B", ""]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (r"\boxed{Anna Reed}", 1),
        (r"\boxed{Ben} or rather \boxed{\text{Anna Reed}}.", 1),
        (r"$\boxed{\textbf{\text{'anna reed.'}}}$", 1),
        (r"\boxed{Anna~Reed", 1),
        ("It was long ago.\nThe answer is: **Anna Reed**.", 1),
        ("Anna Reed", 1),
        (r"\boxed{Anna Reed} and then \boxed{Ben}", 0),
        (r"\boxed{Anna}", 0),
        (r"\boxed{}", 0),
        ("Anna Reed\nBen", 0),
    ],
)
def test_boxes(reply: str, value: int) -> None:
    assert score(reply, Turn("?", r"\boxed{Anna Reed}", gold=("Anna Reed",), scorer="boxed_exact")).value == value


def test_numbers_in_boxes() -> None:
    turn = Turn("?", "1000", scorer="boxed_exact")
    assert [score(reply, turn).value for reply in (r"\boxed{1,000}", r"\boxed{1{,}000.0}", r"\boxed{100}")] == [1, 1, 0]
    assert score(r"\boxed{5}", Turn("?", "-5", scorer="boxed_exact")).value == 0
