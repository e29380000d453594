"""What tokens see, said by bounds: whichever kernel takes it, the same as one softmax over the keys that are seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention import kernels, processor, tiled
from farspan.attention.flash import flash_parts
from farspan.attention.kernels import partial_attention
from farspan.attention.native import library
from farspan.attention.native.many import attend_many
from farspan.attention.rope import Rope
from farspan.attention.runs import Turn
from farspan.attention.softmax import Partial, Scoring, merge, observed_attention
from farspan.attention.visible import Visible
from tests.attention.test_kernels import case, close, dense


def seen_by(visible: Visible, token: int, keys: int) -> set[int]:
    """The keys that a token sees, by the definition."""
    return {
        key for key in range(keys) if visible.low + token <= key and (key < visible.high + token or key < visible.least)
    }


def mask_of(visible: Visible, rows: int, keys: int) -> Tensor:
    """Who sees what, row by row."""
    mask = torch.zeros(rows, keys, dtype=torch.bool)
    for row in range(rows):
        mask[row, list(seen_by(visible, row % visible.tokens, keys))] = True
    return mask


VISIBLE = st.builds(
    Visible, st.integers(1, 150), st.integers(-200, 200), st.integers(-200, 400), least=st.sampled_from([0, 4, 300])
)
KEYS = st.integers(1, 300)


@given(visible=VISIBLE, keys=KEYS, size=st.integers(1, 200))
def test_bounds(visible: Visible, keys: int, size: int) -> None:
    """Tiles are all tokens in order; what their tokens see, and what all of them see, is as the definition has it."""
    tiles = list(visible.tiles(size))
    assert [token for tile in tiles for token in tile] == list(range(visible.tokens))
    assert max(map(len, tiles)) <= size and max(map(len, tiles)) - min(map(len, tiles)) <= 1
    mask = mask_of(visible, visible.tokens, keys)
    assert torch.equal(visible.mask(2 * visible.tokens, keys, mask.device), mask.repeat(2, 1))
    assert torch.equal(visible.last().mask(1, keys, mask.device), mask[-1:])
    assert visible.hides(keys) == (not mask.all())
    for tile in tiles:
        here = mask[tile.start : tile.stop]
        assert set(visible.shared(tile, keys)) == set(here.all(0).nonzero().flatten().tolist())
        seen = visible.seen(tile, keys)
        assert set(here.any(0).nonzero().flatten().tolist()) <= set(seen)
        assert torch.equal(~visible.hidden(tile, seen, torch.device("cpu")), here[:, seen.start : seen.stop])


def by_flash(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, visible: Visible) -> Partial:
    return merge([Partial(*part) for part in flash_parts(q, k, v, scoring.scale, visible)])


def by_tiles(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, visible: Visible) -> Partial:
    return Partial(*tiled.tiled(q, k, v, scoring.scale, visible)[:2])


def by_many(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, visible: Visible) -> Partial:
    return attend_many(many_kernel(), q, k, v, scoring.scale, visible)


def many_kernel() -> library.Kernel:
    kernel = library.load()
    if isinstance(kernel, str) or kernel.many is None:
        pytest.skip("this machine has no products of bfloat16, or no compiler")
    return kernel


def by_choice(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, visible: Visible) -> Partial:
    return partial_attention(q, k, v, scoring, visible)


def by_definition(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, visible: Visible) -> Partial:
    return observed_attention(q, k, v, scoring, visible)[0]


WAYS = [
    (by_flash, torch.float32),
    (by_flash, torch.bfloat16),
    (by_tiles, torch.bfloat16),
    (by_many, torch.bfloat16),
    (by_choice, torch.float32),
    (by_choice, torch.bfloat16),
    (by_definition, torch.float32),
]


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6), visible=VISIBLE, n=st.integers(1, 2), heads=st.integers(1, 3), keys=KEYS,
    way=st.sampled_from(WAYS), sliced=st.booleans(),
)  # fmt: skip
def test_every_kernel_keeps_to_the_bounds(
    seed: int, visible: Visible, n: int, heads: int, keys: int, way: tuple[Callable[..., Partial], Any], sliced: bool
) -> None:
    """Rows that see nothing, or part, or all; keys and values that lie in a longer tensor."""
    attend, dtype = way
    rows = heads * visible.tokens
    q, k, v = case(seed, n, rows, keys + 3 * sliced, 16, 16, dtype)
    k, v = k[:, 3 * sliced :], v[:, 3 * sliced :]
    wanted = dense(q, k, v, Scoring(0.3), mask_of(visible, rows, keys))
    close(attend(q, k, v, Scoring(0.3), visible), wanted, dtype)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6), visible=VISIBLE, heads=st.integers(1, 3), keys=KEYS,
    dtype=st.sampled_from([torch.float32, torch.bfloat16]), others=st.floats(-5, 5),
)  # fmt: skip
def test_what_keys_receive_is_their_share_of_all_attention(
    seed: int, visible: Visible, heads: int, keys: int, dtype: Any, others: float
) -> None:
    """By tiles as by the logits of all rows; what is met elsewhere counts."""
    rows = heads * visible.tokens
    q, k, v = case(seed, 2, rows, keys, 16, 16, dtype)
    others_NM = torch.full((2, rows), others).index_fill_(1, torch.tensor([0]), float("-inf"))
    wanted = dense(q, k, v, Scoring(0.3), mask_of(visible, rows, keys))
    _, logits_NMS = observed_attention(q.float(), k.float(), v.float(), Scoring(0.3), visible)
    share_NMS = torch.exp(logits_NMS - torch.logaddexp(wanted.lse_NM.float(), others_NM).unsqueeze(-1))
    found = tiled.tiled(q, k, v, 0.3, visible, others_NM)
    close(Partial(found.out_NME, found.lse_NM), wanted, dtype)
    assert found.mass_NS is not None
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(found.mass_NS, share_NMS.nan_to_num(0.0).sum(1), atol=tolerance * rows, rtol=tolerance)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6), visible=VISIBLE, heads=st.integers(1, 9), keys=KEYS, turned=st.booleans(),
    widths=st.sampled_from([(16, 16), (70, 33), (8, 130)]), others=st.floats(-5, 5), interleaved=st.booleans(),
)  # fmt: skip
def test_many_rows_by_the_compiled_kernel(
    seed: int,
    visible: Visible,
    heads: int,
    keys: int,
    turned: bool,
    widths: tuple[int, int],
    others: float,
    interleaved: bool,
) -> None:
    """Keys are turned as they are read; keys receive their share; any number of threads gives the same."""
    kernel, rows = many_kernel(), heads * visible.tokens
    q, k, v = case(seed, 2, rows, keys, *widths, torch.bfloat16)
    rope = Rope(torch.tensor([0.7, 0.2, 0.01]), 1.25, interleaved)
    turn = Turn(rope, torch.arange(5, 5 + keys, 8).unsqueeze(0), 8, 1) if turned else None
    k_turned = rope.rotate(k, torch.arange(5, 5 + keys)) if turned else k
    others_NM = torch.full((2, rows), others).index_fill_(1, torch.tensor([0]), float("-inf"))
    wanted = dense(q, k_turned, v, Scoring(0.3), mask_of(visible, rows, keys))
    _, logits_NMS = observed_attention(q.float(), k_turned.float(), v.float(), Scoring(0.3), visible)
    share_NMS = torch.exp(logits_NMS - torch.logaddexp(wanted.lse_NM.float(), others_NM).unsqueeze(-1))
    mass_NS = torch.ones(2, keys)
    found = attend_many(kernel, q, k, v, 0.3, visible, turn, (others_NM, mass_NS))
    close(found, wanted, torch.bfloat16)
    torch.testing.assert_close(mass_NS - 1, share_NMS.nan_to_num(0.0).sum(1), atol=0.02 * rows, rtol=0.02)
    again_NS, threads = torch.ones(2, keys), torch.get_num_threads()
    torch.set_num_threads(3 - min(2, threads))
    again = attend_many(kernel, q, k, v, 0.3, visible, turn, (others_NM, again_NS))
    torch.set_num_threads(threads)
    assert torch.equal(found.out_NME, again.out_NME) and torch.equal(mass_NS, again_NS)


@pytest.mark.parametrize(("attend", "dtype"), WAYS[:-1])
@pytest.mark.parametrize("tokens", [1, 200])
def test_keys_that_nobody_sees_are_not_touched(attend: Callable[..., Partial], dtype: Any, tokens: int) -> None:
    """They may hold anything: a kernel that computes and then hides them would give nan."""
    visible = Visible(tokens, 40, 340)
    q, k, v = case(0, 2, 3 * tokens, 700, 16, 16, dtype)
    wanted = dense(q, k, v, Scoring(0.3), mask_of(visible, 3 * tokens, 700))
    for x in (k, v):
        x[:, :40] = x[:, 340 + tokens :] = float("nan")
    close(attend(q, k, v, Scoring(0.3), visible), wanted, dtype)


@pytest.mark.parametrize("attend", [by_tiles, by_many])
def test_products_in_bfloat16_are_exact_where_logits_are_large(attend: Callable[..., Partial]) -> None:
    """A logit of 100 in bfloat16 is a half off; that half would be an error of a third in the log-sum-exp."""
    q, k, v = case(0, 2, 256, 600, 64, 64, torch.bfloat16)
    scoring = Scoring(3.0)
    wanted = dense(q, k, v, scoring, None)
    assert wanted.lse_NM.mean() > 50
    out, lse = attend(q, k, v, scoring, Visible.everything(256, 600))
    torch.testing.assert_close(lse.double(), wanted.lse_NM, atol=2**-7, rtol=0)
    eager = torch.softmax((q @ k.mT) * scoring.scale, -1, dtype=torch.float32).to(q.dtype) @ v
    ours, theirs = ((x.double() - wanted.out_NME).square().mean().sqrt() for x in (out, eager))
    assert ours < 0.005 and 10 * ours < theirs


def test_a_long_segment_goes_in_small_tiles() -> None:
    """What is held at once is bounded, whatever the number of keys."""
    q, k, v = case(0, 1, 70, 300, 16, 16, torch.bfloat16)
    whole = by_tiles(q, k, v, Scoring(0.3), Visible(70, -70, 231))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "_TILE_LOGITS", 300 * 40)
        tiles: list[int] = []
        tile = tiled._tile
        patch.setattr(tiled, "_tile", lambda q, *rest: (tiles.append(q.shape[1]), tile(q, *rest))[1])
        close(by_tiles(q, k, v, Scoring(0.3), Visible(70, -70, 231)), Partial(*(x.double() for x in whole)), q.dtype)
    assert tiles == [35, 35]


def noted(way: Callable[..., Any], name: str, taken: list[str]) -> Callable[..., Any]:
    """The same, and its name is noted."""

    def call(*args: Any) -> Any:
        taken.append(name)
        return way(*args)

    return call


@pytest.mark.parametrize(
    ("dtype", "products", "rows", "keys", "scoring", "chosen"),
    [
        (torch.float32, True, 256, 600, Scoring(0.3), "flash_parts"),
        (torch.float32, True, 4, 20, Scoring(0.3), "flash_parts"),
        (torch.bfloat16, True, 256, 600, Scoring(0.3), "tiled"),
        (torch.bfloat16, False, 256, 600, Scoring(0.3), "flash_parts"),
        (torch.bfloat16, True, 4, 600, Scoring(0.3), "flash_parts"),
        (torch.bfloat16, True, 4, 20, Scoring(0.3), "flash_parts"),
        (torch.bfloat16, True, 256, 20, Scoring(0.3), "observed_attention"),
        (torch.bfloat16, False, 256, 20, Scoring(0.3), "flash_parts"),
        (torch.bfloat16, True, 256, 600, Scoring(0.3, 5.0), "observed_attention"),
    ],
)
def test_the_choice(
    monkeypatch: pytest.MonkeyPatch,
    dtype: Any,
    products: bool,
    rows: int,
    keys: int,
    scoring: Scoring,
    chosen: str,
) -> None:
    """Reading in bfloat16 where the CPU has products in it; flash for the rest that it can do."""
    taken: list[str] = []
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    for name in ("flash_parts", "tiled", "observed_attention"):
        monkeypatch.setattr(kernels, name, noted(getattr(kernels, name), name, taken))
    monkeypatch.setattr(kernels, "has_products", lambda: products)
    q, k, v = case(0, 1, rows, keys, 16, 16, dtype)
    for visible in (None, Visible(rows, keys - rows + 1 - 300, keys - rows + 1, least=2)):
        partial_attention(q, k, v, scoring, visible)
    assert taken == [chosen] * 2


@pytest.mark.parametrize("rows", [63, 64])
def test_the_compiled_kernel_takes_many_rows_in_bfloat16(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    many_kernel()
    taken: list[str] = []
    monkeypatch.setattr(kernels, "attend_many", noted(attend_many, "many", taken))
    q, k, v = case(0, 1, rows, 40, 16, 16, torch.bfloat16)
    partial_attention(q, k, v, Scoring(0.3))
    assert taken == ["many"] * (rows == 64)


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": True, "amx_bf16": True}, False),
        ({"avx2": True}, False),
        ({}, False),
    ],
)
def test_which_cpu_has_products(monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], wanted: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert processor.has_products() == (wanted and torch.backends.mkldnn.is_available())
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not processor.has_products()
