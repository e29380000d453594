"""`farspan bench kernel`: how fast one token attends to many keys, beside torch and beside the memory."""

from __future__ import annotations

from dataclasses import asdict

import click

from farspan.cli import show
from farspan.cli.kinds import DEVICE
from farspan.cli.options import debug_option, json_option, token_count
from farspan.errors import UsageError

COUNT = click.IntRange(min=1)


@click.command("kernel")
@click.option("--keys", default="128K", show_default=True, metavar="N", help="How many keys are attended to.")
@click.option("--heads", type=COUNT, default=32, show_default=True, help="Query heads.")
@click.option("--kv-heads", type=COUNT, default=8, show_default=True, help="Heads of keys and values.")
@click.option("--width", type=COUNT, default=64, show_default=True, help="Numbers in a key, and in a value.")
@click.option(
    "--device", type=DEVICE, default="cpu", show_default=True, metavar="NAME", help="Where they lie: cpu, cuda, cuda:1."
)
@click.option("--rounds", type=COUNT, default=7, show_default=True, help="How many each median is of.")
@json_option
@debug_option
def command(keys: str, heads: int, kv_heads: int, width: int, device: str, rounds: int, as_json: bool) -> None:
    """Show how fast one token attends to many keys in one layer.

    Beside torch's scaled_dot_product_attention, with enable_gqa and with the query heads of a group folded into rows,
    and as a share of the speed at which this machine reads memory: "at most" is what times SDPA would be at all of it.
    They take turns.
    """
    count = token_count(keys, "--keys")
    if heads % kv_heads or width % 2:
        raise UsageError(
            f"{heads} query heads of width {width} cannot share {kv_heads} KV heads",
            fix="--heads must be a multiple of --kv-heads, and --width even",
        )
    import torch

    from farspan.attention.kernels import gpu_kernels, native_kernel
    from farspan.bench.kernel import kernel_speeds
    from farspan.evals.config import versions

    on_cpu = torch.device(device).type == "cpu"
    kernel = native_kernel() if on_cpu else gpu_kernels()
    rows = list(kernel_speeds(count, heads, kv_heads, width, rounds=rounds, device=device))
    if as_json:
        settings = {"keys": count, "heads": heads, "kv_heads": kv_heads, "width": width, "device": device}
        used = "torch" if isinstance(kernel, str) else "native" if on_cpu else "triton"
        show.as_json({"rows": [asdict(row) for row in rows], **settings, "kernels": used, "versions": versions()})
        return
    if isinstance(kernel, str):
        show.note(f"torch computes all of it: {kernel}")
    show.table(
        ("dtype", "threads", "ms", "turned, ms", "GB/s", "of memory", "times SDPA", "at most", "times folded SDPA"),
        [
            (
                row.dtype,
                str(row.threads),
                f"{row.ms:.2f}",
                f"{row.turned_ms:.2f}",
                f"{row.gb_per_s:.1f}",
                f"{row.bandwidth_share:.0%}",
                f"{row.vs_sdpa:.2f}",
                f"{row.most_vs_sdpa:.2f}",
                f"{row.vs_folded:.2f}",
            )
            for row in rows
        ],
    )
