"""`farspan serve`: OpenAI's protocol and a web page over one model."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import click

from farspan import env
from farspan.cli import show
from farspan.cli.options import (
    DEFAULT_BUDGET,
    DEFAULT_METHOD,
    budget_option,
    debug_option,
    device_option,
    dtype_option,
    method_option,
    model_option,
)
from farspan.errors import UsageError
from farspan.types import Size

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Bytes(click.ParamType[int]):
    """A size in bytes such as 4GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        size = Size.parse(value)
        if size.unit != "bytes" or not size.amount:
            raise UsageError(f"{value!r} is no number of bytes", fix="write it as 512MiB or 4GiB")
        return size.amount


_BYTES = Bytes()
_COUNT = click.IntRange(min=1)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@model_option
@click.option("--name", metavar="NAME", help="What clients call the model. [default: its own name]")
@method_option(DEFAULT_METHOD)
@budget_option(DEFAULT_BUDGET)
@dtype_option
@device_option
@click.option("--memory", type=_BYTES, default="4GiB", show_default=True, help="KV memory of all sessions together.")
@click.option(
    "--disk", type=_BYTES, default="20GiB", show_default=True, help="What may be kept on disk of texts that were read."
)
@click.option("--folder", metavar="PATH", help="Where sessions and files lie. [default: server in FARSPAN_HOME]")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False),
    help="A file with one API key a line; FARSPAN_API_KEY gives one too.",
)
@click.option("--insecure", is_flag=True, help="Listen at an address that others reach without a key.")
@click.option("--parallel", type=_COUNT, default=8, show_default=True, help="Requests worked on at once.")
@click.option("--queue", type=click.IntRange(min=0), default=64, show_default=True, help="Requests that may wait.")
@click.option("--body", type=_BYTES, default="64MiB", show_default=True, help="The largest request.")
@click.option("--upload", type=_BYTES, default="1GiB", show_default=True, help="The largest file.")
@click.option(
    "--on-overflow",
    type=click.Choice(["bounded", "error"]),
    default="bounded",
    show_default=True,
    help="Text longer than the model's window: read on the budget, or refused.",
)
@click.option("--origin", "origins", multiple=True, metavar="URL", help="A site whose pages may ask. May be repeated.")
@debug_option
def command(host: str, port: int, api_key_file: str | None, insecure: bool, on_overflow: str, **values: Any) -> None:
    """Serve the model to OpenAI clients, and a page at / that shows what it has seen and kept.

    The first thing to do is open the address that it prints. Sessions and texts that were read outlive the server.
    """
    keys = _keys(api_key_file)
    local = _is_local(host)
    if not local and not keys and not insecure:
        raise UsageError(
            f"{host} can be reached by others, and there is no API key",
            fix="set FARSPAN_API_KEY or give --api-key-file, or say --insecure",
        )
    try:
        from farspan.server.running import serve
    except ImportError as error:
        raise UsageError(f"serving needs {error.name}", fix='pip install "farspan[serve]"') from error
    from farspan.server.building import Settings

    folder = Path(values.pop("folder") or env.home() / "server").expanduser()
    values["method"], values["budget"] = values["method"] or DEFAULT_METHOD, values["budget"] or DEFAULT_BUDGET
    settings = Settings(
        folder=folder, keys=keys, strict=on_overflow == "error", hosts=(*_LOCAL_NAMES, host) if local else (), **values
    )
    serve(settings, host, port, show.note)


def _keys(path: str | None) -> tuple[str, ...]:
    lines = [] if path is None else Path(path).read_text(encoding="utf-8").splitlines()
    if path is not None and not any(map(str.strip, lines)):
        raise UsageError(f"{path} holds no key", fix="write one key on a line of it")
    return tuple(key for line in [*lines, env.api_key() or ""] if (key := line.strip()))


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
