"""Attention of a few query rows to many keys, straight from where these lie, in Triton.

A program takes one piece of a search's keys, for all its rows, tile by tile, with the softmax as it goes; `join` puts
pieces together in order. Pointers are None where there is nothing. Keys and queries are turned in float32 and rounded
to the dtype of the keys, as torch does it; operands of products have dtype PRODUCTS, their sums are in float32.

Shapes: N searches, G KV heads, X runs, B tokens in a run, M rows, S keys of a tile, K keys of a search, D key width, E
value width, F rotary frequencies, U dims that are not turned, C columns, P pieces, Q of them at a time, R rows of all
searches. What has a name in capitals is known to the compiler; a BLOCK is the power of two that holds as many.
"""

from __future__ import annotations

import triton
import triton.language as tl

_VARYING = (
    *("q_search", "q_row", "memory_row", "first_row", "start_row", "rows", "all_rows", "begin", "end", "piece"),
    *("keys", "length", "tokens", "low", "high", "least"),
)
"""Numbers of which the compiler is to know nothing: with every other one it would start anew."""


@triton.jit
def _turn(x, y, cos, sin):
    return x * cos - y * sin, y * cos + x * sin


@triton.jit
def _angles(cos_SF, sin_SF, row_S, met_S, f_F, F: tl.constexpr):
    at_SF, mask_SF = row_S[:, None] * F + f_F[None, :], met_S[:, None] & (f_F < F)[None, :]
    return tl.load(cos_SF + at_SF, mask=mask_SF, other=0.0), tl.load(sin_SF + at_SF, mask=mask_SF, other=0.0)


@triton.jit
def _columns(own_S, own_met_S, other_S, other_met_S, at_C, in_C, TWO: tl.constexpr):
    """Columns of the tokens at these addresses, of which those that are met lie in the one memory or the other."""
    x_SC = tl.load(own_S[:, None] + at_C[None, :], mask=own_met_S[:, None] & in_C[None, :], other=0.0)
    if TWO:
        other_SC = tl.load(other_S[:, None] + at_C[None, :], mask=other_met_S[:, None] & in_C[None, :], other=0.0)
        x_SC = tl.where(other_met_S[:, None], other_SC, x_SC)
    return x_SC


@triton.jit(do_not_specialize=_VARYING)
def attend(
    q_NMD, q_cos_F, q_sin_F, k_GSD, v_GSE, other_k_GSD, other_v_GSE, memory_NX, heads_N, first_NX, skip_N,
    start_cos_NXF, start_sin_NXF, within_cos_BF, within_sin_BF, out_PRE, lse_PR, logits_NMK, q_search, q_row,
    k_head, k_token, v_head, v_token, other_k_head, other_k_token, other_v_head, other_v_token,
    memory_row, first_row, start_row, rows, all_rows, begin, end, piece, keys, length, tokens, low, high, least,
    scale, softcap, D: tl.constexpr, E: tl.constexpr, F: tl.constexpr, F_STEP: tl.constexpr, F_APART: tl.constexpr,
    M_BLOCK: tl.constexpr, S_BLOCK: tl.constexpr, E_BLOCK: tl.constexpr, F_BLOCK: tl.constexpr, U_BLOCK: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """One piece of one search. Frequency f turns dims `f * F_STEP` and `f * F_STEP + F_APART`; F is 0 where none does.

    Row m, of token `t = m % tokens`, sees keys from `low + t` to just before `high + t` or, if that is more, `least`.
    """
    dtype: tl.constexpr = k_GSD.dtype.element_ty
    two: tl.constexpr = memory_NX is not None
    n, p = tl.program_id(0).to(tl.int64), tl.program_id(1)
    m_M, e_E = tl.arange(0, M_BLOCK), tl.arange(0, E_BLOCK)
    row_M, in_E = m_M < rows, e_E < E
    low_M, high_M = low + m_M % tokens, tl.maximum(high + m_M % tokens, least)
    head = tl.load(heads_N + n)
    q_M = q_NMD + n * q_search + m_M * q_row
    if F > 0:
        f_F = tl.arange(0, F_BLOCK)
        x_F, y_F, in_F = f_F * F_STEP, f_F * F_STEP + F_APART, f_F < F
        qx_MF = _columns(q_M, row_M, q_M, row_M, x_F, in_F, False).to(tl.float32)
        qy_MF = _columns(q_M, row_M, q_M, row_M, y_F, in_F, False).to(tl.float32)
        if q_cos_F is not None:
            cos_MF, sin_MF = _angles(q_cos_F, q_sin_F, m_M * 0, row_M, f_F, F)
            qx_MF, qy_MF = _turn(qx_MF, qy_MF, cos_MF, sin_MF)
        qx_MF, qy_MF = qx_MF.to(dtype).to(PRODUCTS), qy_MF.to(dtype).to(PRODUCTS)
    if D > 2 * F:
        at_U = 2 * F + tl.arange(0, U_BLOCK)
        in_U = at_U < D
        q_MU = _columns(q_M, row_M, q_M, row_M, at_U, in_U, False).to(dtype).to(PRODUCTS)
    top_M = tl.full((M_BLOCK,), float("-inf"), tl.float32)
    total_M = tl.zeros((M_BLOCK,), tl.float32)
    sum_ME = tl.zeros((M_BLOCK, E_BLOCK), tl.float32)
    start = begin + p * piece
    stop = tl.minimum(start + piece, end)
    if skip_N is not None:
        start = tl.maximum(start, (tl.load(skip_N + n) * length).to(tl.int32))
    for key in range(start, stop, S_BLOCK):
        key_S = key + tl.arange(0, S_BLOCK)
        met_S = key_S < stop
        run_S = key_S // length
        offset_S = key_S - run_S * length
        token_S = tl.load(first_NX + n * first_row + run_S, mask=met_S, other=0) + offset_S
        own_S, other_S = met_S, met_S
        if two:
            other_S = met_S & (tl.load(memory_NX + n * memory_row + run_S, mask=met_S, other=0) != 0)
            own_S = met_S & (other_S == 0)
        k_S = k_GSD + head * k_head + token_S * k_token
        other_k_S = other_k_GSD + head * other_k_head + token_S * other_k_token
        dot_MS = tl.zeros((M_BLOCK, S_BLOCK), tl.float32)
        if F > 0:
            x_SF = _columns(k_S, own_S, other_k_S, other_S, x_F, in_F, two).to(tl.float32)
            y_SF = _columns(k_S, own_S, other_k_S, other_S, y_F, in_F, two).to(tl.float32)
            cos_SF, sin_SF = _angles(start_cos_NXF, start_sin_NXF, n * start_row + run_S, met_S, f_F, F)
            if within_cos_BF is not None:
                on_cos_SF, on_sin_SF = _angles(within_cos_BF, within_sin_BF, offset_S, met_S, f_F, F)
                cos_SF, sin_SF = _turn(cos_SF, sin_SF, on_cos_SF, on_sin_SF)
            x_SF, y_SF = _turn(x_SF, y_SF, cos_SF, sin_SF)
            dot_MS = tl.dot(qx_MF, tl.trans(x_SF.to(dtype).to(PRODUCTS)), dot_MS, input_precision="ieee")
            dot_MS = tl.dot(qy_MF, tl.trans(y_SF.to(dtype).to(PRODUCTS)), dot_MS, input_precision="ieee")
        if D > 2 * F:
            k_SU = _columns(k_S, own_S, other_k_S, other_S, at_U, in_U, two)
            dot_MS = tl.dot(q_MU, tl.trans(k_SU.to(PRODUCTS)), dot_MS, input_precision="ieee")
        logit_MS = dot_MS * scale
        if softcap is not None:
            logit_MS = softcap * (1.0 - 2.0 / (tl.exp(logit_MS * (2.0 / softcap)) + 1.0))
        seen_MS = (key_S[None, :] >= low_M[:, None]) & (key_S[None, :] < high_M[:, None]) & met_S[None, :]
        logit_MS = tl.where(seen_MS, logit_MS, float("-inf"))
        if logits_NMK is not None:
            at_MS = (n * rows + m_M)[:, None] * keys + key_S[None, :]
            tl.store(logits_NMK + at_MS, logit_MS, mask=row_M[:, None] & met_S[None, :])
        if out_PRE is not None:
            v_S = v_GSE + head * v_head + token_S * v_token
            other_v_S = other_v_GSE + head * other_v_head + token_S * other_v_token
            v_SE = _columns(v_S, own_S, other_v_S, other_S, e_E, in_E, two)
            before_M, top_M = top_M, tl.maximum(top_M, tl.max(logit_MS, 1))
            base_M = tl.where(top_M == float("-inf"), 0.0, top_M)
            weight_MS, decay_M = tl.exp(logit_MS - base_M[:, None]), tl.exp(before_M - base_M)
            total_M = total_M * decay_M + tl.sum(weight_MS, 1)
            weight_MS = weight_MS.to(dtype).to(PRODUCTS)
            sum_ME = tl.dot(weight_MS, v_SE.to(PRODUCTS), sum_ME * decay_M[:, None], input_precision="ieee")
    if out_PRE is not None:
        at_M = p.to(tl.int64) * all_rows + n * rows + m_M
        total_M = tl.where(total_M == 0.0, 1.0, total_M)
        tl.store(
            out_PRE + at_M[:, None] * E + e_E[None, :], sum_ME / total_M[:, None], mask=row_M[:, None] & in_E[None, :]
        )
        tl.store(lse_PR + at_M, top_M + tl.log(total_M), mask=row_M)


@triton.jit(do_not_specialize=("pieces", "all_rows"))
def join(
    out_PRE, lse_PR, sinks_R, whole_RE, whole_R, pieces, all_rows,
    E: tl.constexpr, E_BLOCK: tl.constexpr, P_BLOCK: tl.constexpr, Q_BLOCK: tl.constexpr,
):  # fmt: skip
    """One row: its pieces, and a logit without a value, as one softmax."""
    r = tl.program_id(0).to(tl.int64)
    p_P, e_E = tl.arange(0, P_BLOCK), tl.arange(0, E_BLOCK)
    lse_P = tl.load(lse_PR + p_P * all_rows + r, mask=p_P < pieces, other=float("-inf"))
    top = tl.max(lse_P, 0)
    if sinks_R is not None:
        top = tl.maximum(top, tl.load(sinks_R + r))
    base = tl.where(top == float("-inf"), 0.0, top)
    total = tl.sum(tl.exp(lse_P - base), 0)
    if sinks_R is not None:
        total += tl.exp(tl.load(sinks_R + r) - base)
    sum_E = tl.zeros((E_BLOCK,), tl.float32)
    for piece in range(0, pieces, Q_BLOCK):
        p_Q = piece + tl.arange(0, Q_BLOCK)
        at_Q, in_Q = p_Q.to(tl.int64) * all_rows + r, p_Q < pieces
        weight_Q = tl.exp(tl.load(lse_PR + at_Q, mask=in_Q, other=float("-inf")) - base)
        sum_E += tl.sum(weight_Q[:, None] * _columns(out_PRE + at_Q * E, in_Q, at_Q, in_Q, e_E, e_E < E, False), 0)
    total = tl.where(total == 0.0, 1.0, total)
    tl.store(whole_RE + r * E + e_E, sum_E / total, mask=e_E < E)
    tl.store(whole_R + r, top + tl.log(total))
