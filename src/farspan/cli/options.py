"""The options that several commands share, handed to a command as one value for each group of options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import click

from farspan import env
from farspan.cli.kinds import BYTES, DEVICE, WORDS
from farspan.errors import BudgetError, UsageError
from farspan.folders import make_folder
from farspan.types import Size

DEFAULT_METHOD = "topk"
DEFAULT_BUDGET = "512MiB"
DEFAULT_MAX_TOKENS = 256

Command = Callable[..., Any]
Option = Callable[[Command], Command]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Which model reads, by which method, on what budget, and the session's name if it is kept."""

    model: str | None
    method: str | None
    budget: str | None
    session: str | None
    dtype: str | None
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedOptions:
    """Which model is served, how it reads where a request does not say, and what all sessions may take."""

    model: str | None
    method: str | None
    budget: str | None
    dtype: str | None
    device: str | None
    memory: int
    disk: int
    folder: str | None

    def as_settings(self) -> dict[str, Any]:
        """The keywords of a server's `Settings`."""
        folder = Path(self.folder or env.home() / "server").expanduser()
        chosen = {"method": self.method or DEFAULT_METHOD, "budget": self.budget or DEFAULT_BUDGET}
        return {**asdict(self), **chosen, "folder": folder}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """How an answer is drawn."""

    max_tokens: int
    temp: float
    top_p: float | None
    seed: int | None
    stop: tuple[str, ...]

    def as_arguments(self) -> dict[str, Any]:
        """The keywords of `Session.ask`, `chat` and `generate`. Raises UsageError for numbers out of range."""
        from farspan.engine import Sampling

        arguments = {
            "max_new_tokens": self.max_tokens,
            "temperature": self.temp,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": list(self.stop) or None,
        }
        Sampling.of(arguments)
        return arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is written beside the answer, and how."""

    as_json: bool
    stream: bool
    quiet: bool
    usage: bool


def _shared(*names: str, **attributes: Any) -> Option:
    """An option with a short environment name for all commands: `--method` is also FARSPAN_METHOD."""
    long = next(name for name in names if name.startswith("--"))
    variable = long.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=f"FARSPAN_{variable}", **attributes)


def _set_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and ctx.obj is not None:
        ctx.obj.debug = True


def _refuse_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    if value:
        raise UsageError(
            f"{ctx.info_name} has no --json", fix="use farspan ask --json, with --session to keep what was read"
        )
    return value


debug_option = _shared(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object on stdout.")
no_json_option = click.option("--json", "as_json", is_flag=True, hidden=True, callback=_refuse_json)
quiet_option = _shared("-q", "--quiet", is_flag=True, help="No progress, sources or account on stderr.")
highlight_option = click.option(
    "--highlight",
    type=WORDS,
    multiple=True,
    metavar="TEXT",
    help="Words of the files to look at, with a method that steers attention (pasta). May be repeated.",
)


def out_file_option(told: str) -> Option:
    """`--out` for one file; the folder that it lies in is made before any work is done."""
    kind = click.Path(path_type=Path, dir_okay=False, writable=True)
    return click.option("-o", "--out", type=kind, callback=_with_folder, help=told)


def _with_folder(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None:
        make_folder(value.parent)
        if not os.access(value.parent, os.W_OK):
            raise UsageError(f"no file can be written in {value.parent}", fix="write somewhere else")
    return value


def file_option(without: str = "") -> Option:
    """`--file`, any number of them, `files`; the help ends with what happens without it."""
    told = f"A file or folder to read, `-` for standard input. May be repeated. {without}"
    return click.option("-f", "--file", "files", multiple=True, metavar="PATH", help=told.rstrip())


def named_model_option(default: str) -> Option:
    """`--model`; its default is only told, so that a command can see whether it was given."""
    return _shared("-m", "--model", metavar="NAME", help=f"A folder or Hub name. [default: {default}]")


model_option = named_model_option("the bundled model")


def method_option(default: str) -> Option:
    """`--method`; its default is only told, so that a command can see whether it was given."""
    return _shared("--method", metavar="EXPR", help=f"What becomes of what does not fit. [default: {default}]")


def methods_option(told: str) -> Option:
    """`--method` for several, `methods`; `told` is its help."""
    return click.option("--method", "methods", metavar="A,B,...", envvar="FARSPAN_EVAL_METHOD", help=told)


self_sufficient_option = methods_option("Methods that do not re-read. [default: all]")


def budget_option(default: str) -> Option:
    """`--budget`; its default is only told, so that a command can see whether it was given."""
    sizes = '32MiB, 8K (tokens) or "device=32MiB,disk=4GiB"'
    return _shared("--budget", metavar="SIZE", help=f"Memory for the context: {sizes}. [default: {default}]")


dtype_option = _shared("--dtype", type=click.Choice(["float32", "bfloat16"]), help="The model's number type.")
device_option = _shared("--device", type=DEVICE, metavar="NAME", help="Where the model runs: cpu, cuda, cuda:1.")

_SESSION: list[Option] = [
    model_option,
    method_option(DEFAULT_METHOD),
    budget_option(DEFAULT_BUDGET),
    _shared("--session", metavar="NAME", help="Keep the session under this name (or folder) and go on with it."),
    dtype_option,
    device_option,
]
_SERVED: list[Option] = [
    model_option,
    method_option(DEFAULT_METHOD),
    budget_option(DEFAULT_BUDGET),
    dtype_option,
    device_option,
    click.option("--memory", type=BYTES, default="4GiB", show_default=True, help="KV memory of all sessions together."),
    click.option(
        "--disk",
        type=BYTES,
        default="20GiB",
        show_default=True,
        help="What may be kept on disk of texts that were read.",
    ),
    click.option("--folder", metavar="PATH", help="Where sessions and files lie. [default: server in FARSPAN_HOME]"),
]
_SAMPLING: list[Option] = [
    _shared(
        "-n",
        "--max-tokens",
        type=click.IntRange(min=1),
        default=DEFAULT_MAX_TOKENS,
        show_default=True,
        help="The longest answer, in tokens.",
    ),
    _shared("--temp", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0 takes the likeliest."),
    _shared("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from this share of the probability."),
    _shared("--seed", type=int, help="Makes drawing repeatable."),
    click.option(
        "--stop", type=WORDS, multiple=True, metavar="TEXT", help="End the answer before this text. May be repeated."
    ),
]
_OUTPUT: list[Option] = [
    click.option("--stream/--no-stream", default=True, help="Write the answer as it comes, or all at once."),
    quiet_option,
    click.option("-u", "--usage", is_flag=True, help="Write the tokens used on stderr."),
    debug_option,
]


def token_counts(text: str, option: str) -> tuple[int, ...]:
    """The token counts in a list such as `"1K,64K,1M"`. Raises UsageError that names the option."""
    return tuple(_tokens(part, option, f"1 or more, such as {option} 64K,256K,1M") for part in text.split(","))


def token_count(text: str, option: str) -> int:
    """One token count such as `"64K"`. Raises UsageError that names the option."""
    return _tokens(text, option, f"1 or more, such as {option} 4K")


def _tokens(text: str, option: str, example: str) -> int:
    wrong = UsageError(f"{option}: {text.strip()!r} is no number of tokens", fix=f"write {example}")
    try:
        size = Size.parse(text)
    except BudgetError:
        raise wrong from None
    if size.unit != "tokens" or not size.amount:
        raise wrong
    return size.amount


def grouped(name: str, kind: type, options: list[Option]) -> Option:
    """Add `options` to a command, which receives their values as one `kind` under the keyword `name`."""
    members = [member.name for member in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            return command(**{name: kind(**{member: values.pop(member) for member in members})}, **values)

        for option in reversed(options):
            option(call)
        return call

    return decorate


served_options = grouped("served", ServedOptions, _SERVED)
session_options = grouped("options", SessionOptions, _SESSION)
sampling_options = grouped("sampling", SamplingOptions, _SAMPLING)
output_options = grouped("output", OutputOptions, [json_option, *_OUTPUT])
chat_output_options = grouped("output", OutputOptions, [no_json_option, *_OUTPUT])
