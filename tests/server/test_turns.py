"""Turns at the model: one job at a time, fair by time, answers together, stopped at a step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from farspan.engine.stepping import Step
from farspan.errors import InputError
from farspan.server.turns import Stopped, Turns

HOSTED = object()
READING, WRITING = 100, 1


class Machine:
    """A model that does so many tokens in a second; it notes who was served."""

    def __init__(self, second: float = 1.0) -> None:
        self.second = second
        self.now = 0.0
        self.served: list[list[Any]] = []
        self.refuses: set[Any] = set()
        self.turns = Turns(self._run, lambda: self.now)

    def step(self, who: Any, tokens: int, answering: bool = False) -> Any:
        """Ask for a step."""
        memory: Any = SimpleNamespace(settings=SimpleNamespace(hosted=HOSTED), surprised=False, who=who)
        return self.turns.run(Step(memory, [0] * tokens, answering), "last" if answering else None)

    def _run(self, steps: Any, logits: Any) -> list[Any]:
        who = [step.memory.who for step in steps]
        if self.refuses & set(who):
            raise InputError("refused")
        self.now += len(steps[0].ids) / self.second
        self.served.append(who)
        return who


def together(machine: Machine, *works: Callable[[], None]) -> None:
    """Run these as jobs that all wait before the first has its turn."""
    gate, threads = threading.Event(), []

    def job(work: Callable[[], None]) -> None:
        with machine.turns.job():
            work()

    def first() -> None:
        with machine.turns.job():
            gate.wait(10)

    holder = threading.Thread(target=first)
    holder.start()
    while machine.turns._holder is None:
        pass
    for number, work in enumerate(works, 1):
        machine.now += 10
        threads.append(threading.Thread(target=job, args=(work,)))
        threads[-1].start()
        while len(machine.turns._waiting) < number:
            pass
    gate.set()
    for thread in [holder, *threads]:
        thread.join(20)
        assert not thread.is_alive()


def reads(machine: Machine, who: str, steps: int) -> Callable[[], None]:
    """A job that reads."""
    return lambda: [machine.step(who, READING) for _ in range(steps)] and None


def writes(machine: Machine, who: str, tokens: int) -> Callable[[], None]:
    """A job that writes; every token is its own."""

    def work() -> None:
        for _ in range(tokens):
            assert machine.step(who, WRITING, answering=True) == who

    return work


def test_two_that_read_take_turns() -> None:
    machine = Machine()
    together(machine, reads(machine, "a", 3), reads(machine, "b", 3))
    assert machine.served == [["a"], ["b"], ["a"], ["b"], ["a"], ["b"]]


def test_a_short_answer_has_as_much_time_as_a_long_reading() -> None:
    machine = Machine()
    together(machine, reads(machine, "book", 5), writes(machine, "question", 150))
    last = len(machine.served) - 1 - machine.served[::-1].index(["question"])
    assert sum(who == ["book"] for who in machine.served[:last]) <= 3


def after(machine: Machine, chunks: int, comes: Callable[[], None], more: int) -> None:
    """Have a job read some chunks and more when another has come."""

    def job() -> None:
        with machine.turns.job():
            comes()

    other = threading.Thread(target=job)
    with machine.turns.job():
        reads(machine, "book", chunks)()
        other.start()
        while not machine.turns._waiting:
            pass
        reads(machine, "book", more)()
    other.join(10)


def test_who_comes_late_does_not_have_to_catch_up() -> None:
    machine = Machine()
    after(machine, 10, reads(machine, "late", 4), more=4)
    assert [who for (who,) in machine.served[10:]] in (["late", "book"] * 4, ["book", "late"] * 4)


def test_answers_get_their_next_token_from_one_step() -> None:
    machine = Machine()
    together(machine, writes(machine, "a", 10), writes(machine, "b", 10), reads(machine, "c", 1))
    assert sum(len(who) == 2 for who in machine.served) >= 9
    assert all(sorted(who) in (["a", "b"], ["a"], ["b"], ["c"]) for who in machine.served)


def test_one_that_fails_does_not_take_the_others_with_it() -> None:
    machine = Machine()
    machine.refuses = {"a"}
    failed: list[str] = []

    def refused() -> None:
        with pytest.raises(InputError):
            machine.step("a", WRITING, answering=True)
        failed.append("a")

    together(machine, refused, writes(machine, "b", 5))
    assert failed == ["a"]
    assert machine.served == [["b"]] * 5


def test_a_job_that_is_stopped_ends_at_its_next_step() -> None:
    machine = Machine()
    with machine.turns.job() as job:
        machine.step("a", READING)
        job.stop()
        with pytest.raises(Stopped):
            machine.step("a", READING)
    with machine.turns.job():
        machine.step("b", READING)
    assert machine.served == [["a"], ["b"]]


def test_others_go_on_while_a_job_waits() -> None:
    machine = Machine()
    ready = threading.Event()

    def waits() -> None:
        machine.turns.wait(ready)
        machine.step("waited", READING)

    def readies() -> None:
        machine.step("other", READING)
        ready.set()

    together(machine, waits, readies)
    assert machine.served == [["other"], ["waited"]]


def test_a_job_that_waits_can_be_stopped() -> None:
    machine = Machine()
    with machine.turns.job() as job:
        job.stop()
        with pytest.raises(Stopped):
            machine.turns.wait(threading.Event())
    assert machine.turns._holder is None


def test_a_short_question_need_not_share_with_a_long_reading() -> None:
    machine = Machine(second=1000)
    after(machine, 10, writes(machine, "question", 150), more=4)
    assert machine.served[10:] == [*[["question"]] * 150, *[["book"]] * 4]


def test_many_short_questions_do_not_hold_up_a_long_reading() -> None:
    machine = Machine(second=1000)
    ended = threading.Event()

    def asks() -> None:
        while not ended.is_set():
            with machine.turns.job():
                for _ in range(50):
                    machine.step("question", WRITING, answering=True)

    def reading() -> None:
        for _ in range(20):
            machine.step("book", READING)
        ended.set()

    askers = [threading.Thread(target=asks) for _ in range(3)]
    with machine.turns.job():
        for asker in askers:
            asker.start()
        reading()
    for asker in askers:
        asker.join(10)
    assert machine.now < 20 * READING / 1000 * 8
