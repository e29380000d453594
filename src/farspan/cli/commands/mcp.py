"""`farspan mcp`: long texts for agents, by the Model Context Protocol at standard input and output."""

from __future__ import annotations

import click

from farspan.cli import show
from farspan.cli.options import ServedOptions, debug_option, served_options
from farspan.errors import UsageError


@click.command("mcp")
@served_options
@debug_option
def command(served: ServedOptions) -> None:
    """Give agents tools to read long texts and ask about them: an MCP server at standard input and output.

    Programs such as editors and assistants begin it themselves: give them the command farspan with the argument mcp. By
    HTTP the same tools are at /mcp of farspan serve. Sessions and texts that were read outlive the server.
    """
    try:
        from farspan.server.mcp.stdio import serve
    except ImportError as error:
        raise UsageError(f"MCP needs {error.name}", fix='pip install "farspan[serve]"') from error
    from farspan.server.building import Settings

    show.note("farspan speaks MCP at standard input and output")
    serve(Settings(**served.as_settings()))
