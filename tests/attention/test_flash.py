"""Torch's flash kernels for GPUs, of which there are none here: what they are asked, and what is made of their answers.

Shapes: N problems, R heads, T tokens, S keys, D key width, E value width.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention import flash
from farspan.attention.kernels import partial_attention
from farspan.attention.softmax import Partial, Scoring, merge
from farspan.attention.visible import Visible
from tests.attention.test_kernels import case, close, dense
from tests.attention.test_visible import KEYS, VISIBLE, mask_of


def as_on_a_gpu(taken: list[str], patch: pytest.MonkeyPatch) -> None:
    """Kernels that answer as those for GPUs do: NaN where a row sees nothing, log-sum-exps of whole 32 rows."""

    def efficient(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: Tensor | None,
        with_lse: bool,
        dropout: float,
        causal: bool,
        *,
        scale: float,
    ) -> tuple[Tensor, ...]:
        assert with_lse and not dropout and not causal
        assert bias is None or (bias.shape == (*q.shape[:3], k.shape[2]) and bias.stride(2) % 16 == 0)
        taken.append("efficient")
        logits = q.double() @ k.double().mT * scale + (0.0 if bias is None else bias.double())
        lse = torch.nn.functional.pad(logits.logsumexp(-1).float(), (0, -q.shape[2] % 32), value=7.0)
        return (logits.softmax(-1) @ v.double()).to(q.dtype), lse, torch.empty(()), torch.empty(())

    def plain(
        q: Tensor, k: Tensor, v: Tensor, dropout: float, causal: bool, debug: bool, *, scale: float
    ) -> tuple[Tensor, ...]:
        assert not dropout and not causal and not debug and q.dtype == torch.bfloat16 and q.shape[3] % 8 == 0
        out, lse, *_ = efficient(q, k, v, None, True, 0.0, False, scale=scale)
        taken[-1] = "flash"
        return out, lse[..., : q.shape[2]]

    patch.setattr(flash, "_GPU_EFFICIENT", efficient)
    patch.setattr(flash, "_GPU", plain)
    patch.setattr(flash, "can_use_flash_attention", lambda asked: asked.query.dtype == torch.bfloat16)
    patch.setattr(flash, "_on_cpu", flash._on_gpu)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6), visible=VISIBLE, heads=st.integers(1, 3), keys=KEYS,
    dtype=st.sampled_from([torch.float32, torch.bfloat16]), width=st.sampled_from([12, 16]),
)  # fmt: skip
def test_rows_that_see_nothing_and_rows_that_are_filled_up(
    seed: int, visible: Visible, heads: int, keys: int, dtype: torch.dtype, width: int
) -> None:
    rows, taken = heads * visible.tokens, list[str]()
    q, k, v = case(seed, 2, rows, keys, width, width, dtype)
    with pytest.MonkeyPatch.context() as patch:
        as_on_a_gpu(taken, patch)
        parts = flash.flash_parts(q, k, v, 0.3, visible)
    wanted = dense(q, k, v, Scoring(0.3), mask_of(visible, rows, keys))
    close(merge([Partial(*part) for part in parts]), wanted, dtype)
    assert dtype == torch.bfloat16 or "flash" not in taken
    if not visible.hides(keys):
        assert taken == ["flash" if dtype == torch.bfloat16 and width == 16 else "efficient"]


def test_a_signature_is_as_torch_has_it() -> None:
    """On tensors without numbers, where torch checks what it is handed."""
    q, k, v = (torch.empty(2, 3, tokens, 16, device="meta", dtype=torch.bfloat16) for tokens in (40, 90, 90))
    out, lse = flash._flash(q, k, v, 0.3, torch.zeros(40, 90, dtype=torch.bool, device="meta"))
    assert out.shape == q.shape and lse.shape == (2, 3, 40) and lse.dtype == torch.float32
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flash, "can_use_flash_attention", lambda asked: True)
        out, lse = flash._flash(q, k, v, 0.3)
    assert out.shape == q.shape and lse.shape == (2, 3, 40)


def test_what_no_kernel_takes() -> None:
    """Values of another width than keys on the CPU; whatever lies on a device that torch has no kernel for."""
    x_NSD = torch.empty(1, 4, 16)
    assert flash.takes(x_NSD, x_NSD, x_NSD) and not flash.takes(x_NSD, x_NSD, x_NSD[..., :8])
    on_meta = x_NSD.to("meta")
    assert not flash.takes(on_meta, on_meta, on_meta)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("widths", [(64, 64), (64, 32), (12, 12)])
@pytest.mark.parametrize("visible", [Visible(100, -200, 300), Visible(100, 50, 201, least=4), Visible(100, 10, -50)])
def test_on_a_gpu(dtype: torch.dtype, widths: tuple[int, int], visible: Visible) -> None:
    q, k, v = case(0, 2, 200, 300, *widths, dtype)
    found = partial_attention(q.cuda(), k.cuda(), v.cuda(), Scoring(0.3), visible)
    wanted = dense(q, k, v, Scoring(0.3), mask_of(visible, 200, 300))
    close(Partial(found.out_NME.cpu(), found.lse_NM.cpu()), wanted, dtype)
