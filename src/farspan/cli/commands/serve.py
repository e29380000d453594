"""`farspan serve`: OpenAI's protocol, MCP and a web page over one model."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import click

from farspan import env
from farspan.cli import show
from farspan.cli.kinds import BYTES
from farspan.cli.options import ServedOptions, debug_option, served_options
from farspan.errors import UsageError

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


_COUNT = click.IntRange(min=1)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@served_options
@click.option("--name", metavar="NAME", help="What clients call the model. [default: its own name]")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False),
    help="A file with one API key a line; FARSPAN_API_KEY gives one too.",
)
@click.option("--insecure", is_flag=True, help="Listen at an address that others reach without a key.")
@click.option("--parallel", type=_COUNT, default=8, show_default=True, help="Requests worked on at once.")
@click.option("--queue", type=click.IntRange(min=0), default=64, show_default=True, help="Requests that may wait.")
@click.option("--body", type=BYTES, default="64MiB", show_default=True, help="The largest request.")
@click.option("--upload", type=BYTES, default="1GiB", show_default=True, help="The largest file.")
@click.option(
    "--on-overflow",
    type=click.Choice(["bounded", "error"]),
    default="bounded",
    show_default=True,
    help="Text longer than the model's window: read on the budget, or refused.",
)
@click.option("--origin", "origins", multiple=True, metavar="URL", help="A site whose pages may ask. May be repeated.")
@debug_option
def command(
    served: ServedOptions,
    host: str,
    port: int,
    api_key_file: str | None,
    insecure: bool,
    on_overflow: str,
    **values: Any,
) -> None:
    """Serve the model to OpenAI and MCP clients, and a page at / that shows what it has seen and kept.

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

    settings = Settings(
        keys=keys,
        strict=on_overflow == "error",
        hosts=(*_LOCAL_NAMES, host) if local else (),
        **served.as_settings(),
        **values,
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
