"""The turns of a conversation with a reader, as they stand between the text and the next question."""

from __future__ import annotations

from dataclasses import dataclass, field

from farspan.engine.template import Template


@dataclass(slots=True)
class Conversation:
    """Token ids of all turns, oldest first: `tail` and reply behind each message, `between` behind each reply."""

    template: Template
    turns: list[list[int]] = field(default_factory=list)

    def add(self, message: list[int], reply: list[int]) -> None:
        """One more turn."""
        self.turns.append([*message, *self.template.tail, *reply, *self.template.between])

    def newest(self, room: int) -> list[int]:
        """The ids of the newest turns that fit."""
        told: list[int] = []
        for turn in reversed(self.turns):
            if len(turn) + len(told) > room:
                break
            told = turn + told
        return told

    @property
    def tokens(self) -> int:
        """Tokens of all turns."""
        return sum(map(len, self.turns))

    def copy(self) -> Conversation:
        """One that begins with these turns and goes on by itself."""
        return Conversation(self.template, list(self.turns))
