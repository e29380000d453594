"""The tools by standard input and output, for the one client that has begun this process."""

from __future__ import annotations

import asyncio
import logging
import signal

from mcp.server.stdio import stdio_server

from farspan.server.api.state import State
from farspan.server.building import PUBLIC, Settings, defaults_of
from farspan.server.mcp.serving import local_cards, server
from farspan.server.mcp.tools import Tools


def serve(settings: Settings) -> None:
    """Answer at standard input until it ends. Raises MethodError and BudgetError for settings that do not go.

    The model is loaded beside this, since clients do not wait long for a server's first word.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    defaults_of(settings)
    # Nothing wakes the thread that waits for input, so Ctrl-C ends the process; what was read is on disk by then.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    state = State.of(settings)
    serving = server(local_cards(Tools(state)), lambda _: PUBLIC)
    async with state.running(), stdio_server() as (incoming, outgoing):
        await serving.run(incoming, outgoing, serving.create_initialization_options())
