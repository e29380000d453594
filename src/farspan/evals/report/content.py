"""All that the report shows, as plain values: what the two templates write out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from farspan.evals.comparison import against
from farspan.evals.plan import FULL
from farspan.evals.report import accounts, boxes, curves, scores
from farspan.evals.report.names import MODES, Names, length_name, percent, plural, size, spread
from farspan.evals.report.parts import Figure, Part, memory_figure, parts
from farspan.evals.report.tables import Field, Record, Table, heads, method_field
from farspan.evals.report.wrong import shortened
from farspan.evals.summary import Cell, Row, why_failed

_FIRST_MODE = "multi_request"
_MOST_REASONS = 5
_MEMORY = "Mean over tasks against memory, shortest to longest length"


@dataclass(frozen=True)
class Content:
    """A run's rows and cells, and everything that is shown of them."""

    rows: Sequence[Row]
    cells: Sequence[Cell]
    config: Mapping[str, Any]
    names: Names

    @property
    def mode(self) -> str:
        """The way of asking that figures show."""
        return _FIRST_MODE if _FIRST_MODE in self.names.modes else self.names.modes[0]

    def fact(self, name: str) -> Any:
        """A fact of the configuration, wherever it stands there; empty when it is unknown."""
        return self.config.get("identity", {}).get(name, self.config.get(name, ""))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The whole configuration, one line each."""
        return list(_flat("", self.config))

    @property
    def machine(self) -> str:
        """What it ran on."""
        runs = self.config.get("runs") or [self.config]
        named = dict.fromkeys(_machine(run.get("machine", {})) for run in runs)
        return "; ".join(name for name in named if name) or "an unnamed machine"

    @property
    def lead(self) -> str:
        """One sentence on what was measured."""
        lengths = [length_name(length) for length in self.names.lengths if length]
        reach = (
            f" at {lengths[0]} to {lengths[-1]} tokens"
            if len(lengths) > 1
            else f" at {lengths[0]} tokens"
            if lengths
            else ""
        )
        count = plural(len(self.names.subjects), "method"), plural(len(self.names.tasks), "task")
        return f"{count[0]} on {count[1]}{reach}. Every context was read before its questions were known."

    @property
    def tiles(self) -> list[tuple[str, str]]:
        """The figures at the head of the page."""
        whole = [cell for cell in self.cells if cell["context"] == FULL]
        asked = sum(cell["questions"] + cell["failed"] for cell in whole)
        contexts = len({row["sample"] for row in self.rows})
        window, budgets = self.fact("window"), sorted({budget for _, budget in self.names.subjects})
        tiles = [(f"{asked:,}", "questions"), (f"{contexts:,}", "contexts"), (str(len(self.names.tasks)), "tasks")]
        tiles += [(f"{window:,}", "tokens of the model's window")] if type(window) is int else []
        return [*tiles, (", ".join(budgets), "budget" if len(budgets) == 1 else "budgets")]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before looking at any score."""
        failed, cut, asked = (
            sum(int(cell[name]) for cell in self.cells) for name in ("failed", "truncated", "questions")
        )
        found = [
            f"Left out, since it cannot run on this model and budget: {method}: {why}."
            for method, why in self.config.get("left_out", {}).items()
        ]
        if failed:
            found.append(f"Failed, with no score: {failed:,} of {failed + asked:,} questions; Replies says which.")
            told = why_failed(str(row["error"]) for row in self.rows if row["error"])
            found += [f"{plural(count, 'question')} failed: {shortened(why)}" for why, count in told[:_MOST_REASONS]]
        if cut:
            found.append(f"Cut off at the longest that was allowed: {cut:,} of {asked:,} answers.")
        return found

    @cached_property
    def parts(self) -> list[Part]:
        """Every task."""
        window = self.fact("window")
        return list(parts(self.rows, self.cells, self.names, self.mode, window if type(window) is int else None))

    @property
    def anchors(self) -> dict[str, str]:
        """Where each task stands in the page."""
        return {part.task: part.anchor for part in self.parts}

    @cached_property
    def memory(self) -> Figure | None:
        """Means over tasks against memory."""
        return next(memory_figure(self._means, self.names, "memory", _MEMORY), None)

    @property
    def figures(self) -> list[Figure]:
        """Every figure once."""
        return [*([self.memory] if self.memory else []), *(figure for part in self.parts for figure in part.figures)]

    @cached_property
    def _means(self) -> list[Cell]:
        return curves.means(curves.chosen(self.cells, self.mode), self.names)

    @cached_property
    def standing(self) -> Table:
        """Each method's mean over tasks at the shortest and the longest length, and its memory there."""
        lengths = sorted({cell["length"] for cell in self._means})
        ends = list(dict.fromkeys([*lengths[:1], *lengths[-1:]]))
        records = []
        lines = curves.by_subject(self._means, self.names)
        for subject in self.names.subjects if ends else ():
            found = {cell["length"]: cell for cell in lines.get(subject, ())}
            memory = found[ends[-1]]["device_bytes"] if ends[-1] in found else None
            fields = [*(_mean_field(found.get(length)) for length in ends), Field(size(memory))]
            records.append(Record([method_field(subject, self.names), *fields], None, self.names.number(subject)))
        columns = [f"mean at {length_name(length)}" for length in ends]
        return Table(heads(["method", *columns, "device memory"]), records)

    @property
    def standing_note(self) -> str:
        """What the means are taken over."""
        counts = {cell["length"]: cell["tasks"] for cell in self._means}
        ends = sorted(counts)
        if not ends:
            return ""
        shown = list(dict.fromkeys([*ends[:1], *ends[-1:]]))
        over = " and ".join(f"{plural(counts[length], 'task')} at {length_name(length)}" for length in shown)
        return f"Means over the tasks that every method answered: {over}. Device memory is that of the KV there."

    @property
    def matrices(self) -> list[tuple[str, boxes.Matrix]]:
        """The overview for each way of asking."""
        found = [(MODES.get(mode, mode), boxes.matrix(self.cells, mode, self.names)) for mode in self.names.modes]
        return [(title, matrix) for title, matrix in found if matrix]

    @property
    def effective(self) -> list[tuple[str, Table]]:
        """Effective lengths for each way of asking."""
        found = [(mode, scores.effective_table(self.cells, self.names, mode)) for mode in self.names.modes]
        return [(MODES.get(mode, mode), table) for mode, table in found if table.records]

    @cached_property
    def paired(self) -> list[tuple[str, Table, Table]]:
        """Methods against full attention for each way of asking: all lengths together, and each by itself."""
        whole, single = against(self.rows), against(self.rows, by_length=True)
        found = []
        for mode in self.names.modes:
            if any(one.mode == mode for one in whole):
                tables = [scores.paired_table(compared, mode, self.names) for compared in (whole, single)]
                found.append((MODES.get(mode, mode), tables[0], tables[1]))
        return found

    @cached_property
    def baselines(self) -> Table:
        """Without the context, and with the evidence alone."""
        return scores.baseline_table(self.cells, self.names)

    @cached_property
    def accounts(self) -> Table:
        """Where the tokens went."""
        return accounts.account_table(self.cells, self.names, self.mode)

    @cached_property
    def timings(self) -> Table:
        """How long it took."""
        return accounts.timing_table(self.rows, self.names)

    @cached_property
    def replies(self) -> Table:
        """What came back."""
        return accounts.reply_table(self.rows, self.names)

    @cached_property
    def failures(self) -> Table:
        """What did not."""
        return accounts.failure_table(self.rows, self.names)


def _mean_field(cell: Cell | None) -> Field:
    if cell is None:
        return Field("\u2013", "faint", "answered nothing at this length that every method answered")
    return Field(percent(cell["score"]), "big", f"{spread(cell)}, mean of {plural(cell['tasks'], 'task')}")


def _machine(known: Mapping[str, Any]) -> str:
    named = [str(value) for name, value in known.items() if name not in ("cores", "python")]
    cores = [plural(int(known["cores"]), "core")] if known.get("cores") else []
    return ", ".join([*named, *cores])


def _flat(start: str, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A nested mapping as dotted names and texts; lists of mappings by number, other lists in one line."""
    for name, inner in known.items():
        if type(inner) is list and inner and hasattr(inner[0], "items"):
            yield from _flat(f"{start}{name}.", {str(number): one for number, one in enumerate(inner, 1)})
        elif hasattr(inner, "items"):
            yield from _flat(f"{start}{name}.", inner)
        else:
            yield f"{start}{name}", ", ".join(map(str, inner)) if type(inner) in (list, tuple) else str(inner)
