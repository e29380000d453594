"""`farspan sessions`: what has been read and kept under a name."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import click

from farspan import env
from farspan.cli import show
from farspan.cli.groups import DefaultGroup
from farspan.cli.opening import RECORD, existing_session
from farspan.cli.options import json_option
from farspan.errors import SessionError
from farspan.folders import hold
from farspan.types import format_bytes


@click.group("sessions", cls=DefaultGroup, default="list")
def command() -> None:
    """List, show, find and remove the sessions that are kept."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every session (the default)."""
    folders = sorted(record.parent for record in env.sessions_folder().glob(f"*/{RECORD}"))
    facts = [_facts(folder) for folder in folders]
    if as_json:
        show.as_json({"sessions": facts})
        return
    show.table(
        ("session", "model", "method", "seen", "on disk", "changed"),
        [
            (
                fact["name"],
                fact.get("model") or "farspan-tiny",
                fact.get("method", "unreadable"),
                f"{fact.get('counts', {}).get('seen', 0):,}",
                format_bytes(fact["disk_bytes"]),
                fact["changed"],
            )
            for fact in facts
        ],
    )


@command.command("show")
@click.argument("name")
@json_option
def show_(name: str, as_json: bool) -> None:
    """Show one session: model, method, budget, counts and the files it has read."""
    fact = _facts(existing_session(name))
    if "error" in fact:
        raise SessionError(f"session {name!r} cannot be read: {fact['error']}", fix=f"farspan sessions rm {name}")
    if as_json:
        show.as_json(fact)
        return
    for key in ("name", "model", "method", "budget", "path", "changed"):
        click.echo(f"{key}: {fact.get(key) or 'farspan-tiny'}")
    click.echo(f"on disk: {format_bytes(fact['disk_bytes'])}")
    counts = fact.get("counts", {})
    click.echo(
        "tokens: " + " | ".join(f"{key} {counts.get(key, 0):,}" for key in ("seen", "kept", "stored", "dropped"))
    )
    for file in fact.get("files", []):
        state = "" if file.get("complete", True) else "  (not read to its end)"
        click.echo(f"file: {file['file']}{state}")


@command.command("path")
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print the folder of one session, or of all."""
    click.echo(existing_session(name) if name else env.sessions_folder())


@command.command("rm")
@click.argument("names", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove sessions, with everything they have read."""
    for folder in [existing_session(name) for name in names]:
        lock = hold(folder)
        if lock is None:
            raise SessionError(f"the session in {folder} is in use", fix="wait for the other process, or end it")
        try:
            shutil.rmtree(folder)
        finally:
            os.close(lock)
        show.note(f"removed {folder}")


def _facts(folder: Path) -> dict[str, Any]:
    """What the session's record says, and what the folder takes; `error` where the record cannot be read."""
    record = folder / RECORD
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.stat().st_mtime))
    facts = {
        "name": folder.name,
        "path": str(folder),
        "changed": changed,
        "disk_bytes": sum(file.st_blocks * 512 for file in files),
    }
    try:
        return {**json.loads(record.read_text(encoding="utf-8")), **facts}
    except (ValueError, TypeError) as error:
        return {**facts, "error": str(error)}
