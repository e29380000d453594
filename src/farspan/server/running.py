"""Runs the server until it is told to end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from farspan.errors import UsageError
from farspan.process import allow_open_files, keep_freed_memory, share_freed_memory
from farspan.server.api.app import create
from farspan.server.api.streaming import GRACE_S
from farspan.server.building import Settings


def serve(settings: Settings, host: str, port: int, note: Callable[[str], None]) -> None:
    """Listen at an address, which `note` is told. Raises UsageError where that cannot be had."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("mcp").setLevel(logging.WARNING)
    keep_freed_memory()
    share_freed_memory()
    allow_open_files()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened at: {error.strerror}", fix="choose another --port"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    note(f"farspan listens at http://{shown}:{listening.getsockname()[1]}  (the API is under /v1)")
    config = uvicorn.Config(
        create(settings),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=round(GRACE_S),
        server_header=False,
    )
    uvicorn.Server(config).run([listening])
