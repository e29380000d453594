"""What the value of an option can be besides what click knows."""

from __future__ import annotations

from typing import Any

import click

from farspan.errors import InputError, UsageError
from farspan.types import Size


class Bytes(click.ParamType[int]):
    """A size in bytes such as 4GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        size = Size.parse(value)
        if size.unit != "bytes" or not size.amount:
            raise UsageError(f"{value!r} is no number of bytes", fix="write it as 512MiB or 4GiB")
        return size.amount


class Words(click.ParamType[str]):
    """A text that a model can read."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is UTF-8."""
        from farspan.text.unicode import to_utf8

        try:
            to_utf8(value, param.get_error_hint(ctx).strip("'") if param else "the text")
        except InputError as error:
            raise UsageError(error.message, fix=error.fix) from None
        return str(value)


class Device(click.ParamType[str]):
    """A device that torch can use on this machine."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The device, if it is there."""
        from farspan.engine.devices import usable

        return usable(value)


BYTES = Bytes()
DEVICE = Device()
WORDS = Words()
