/* Attention of many query rows in bfloat16, for processors with instructions for it: products of pairs of bfloat16 are
 * added up in float32, so a logit is never rounded.
 *
 * Keys and values are packed once for all rows. Then tokens, some at a time and with all heads that share the keys, go
 * through it: their logits with every key that any of them sees, the softmax, its product with the values. Which
 * tokens go together depends on the shapes alone: the result is the same for any number of threads.
 *
 * N problems, R heads, T tokens, M = R * T rows, K keys, D key width, E value width, F rotary frequencies; a panel is 64
 * lanes wide, of keys or of value dims.
 */

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "rows.h"

/* Strides are in bytes; the order is that of `structs.py`. */
struct many {
    const uint16_t *q_NMD;
    const char *k, *v;
    int64_t k_head, k_token, v_head, v_token, problems, heads, tokens, keys, key_width, value_width;
    const float *cos_KF, *sin_KF; /* how keys are turned, if they are not yet; one table for all problems */
    int64_t frequencies, interleaved;
    int64_t low, high, least; /* token t sees keys low + t to max(high + t, least) */
    float scale;
    float *out_NME, *lse_NM;
    const float *others_NM; /* the log-sum-exp of all other logits of each row, where it is wanted what keys receive */
    float *mass_NK;
    int64_t mass_row;
    team_fn *team;
    int64_t threads;
    /* What follows is made here. */
    int64_t steps, block_tokens, blocks, key_panels, value_panels, next, failed;
    int32_t *k_packed, *v_packed; /* [N, panels, D / 2, LANES_OF_PANEL] and [N, panels, K / 2, ...]: pairs */
    float *mass; /* [N, blocks, K], filled up to whole panels */
};

#if defined(__AVX512BF16__) && defined(__AVX512F__) && defined(__AVX512BW__)

#include <immintrin.h>

#define PANEL 64
#define VECTORS 4     /* of a panel */
#define ROWS 6        /* that meet a panel at once */
#define BLOCK_ROWS 48 /* about so many in a block */

INLINE int64_t parts(int64_t n, int64_t of) { return (n + of - 1) / of; }
INLINE int64_t low_of(const struct many *m, int64_t t) { return at_most(m->keys, at_least(0, m->low + t)); }
INLINE int64_t high_of(const struct many *m, int64_t t) {
    return at_most(m->keys, at_least(at_least(m->least, m->high + t), low_of(m, t)));
}

/* ---- products ---- */

/* `out[r]`, a row every `out_row` floats, becomes the product of `a[r]`, so many pairs, with a panel. */
INLINE void multiply_rows(const int R, const int32_t *a, int64_t a_row, const int32_t *panel, int64_t pairs, float *out,
                          int64_t out_row) {
    __m512 sums[ROWS][VECTORS];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int i = 0; i < VECTORS; i++) sums[r][i] = _mm512_setzero_ps();
    for (int64_t p = 0; p < pairs; p++) {
        __m512bh lanes[VECTORS];
        UNROLL for (int i = 0; i < VECTORS; i++) lanes[i] = (__m512bh)_mm512_load_si512(panel + p * PANEL + i * 16);
        UNROLL for (int r = 0; r < R; r++) {
            __m512bh pair = (__m512bh)_mm512_set1_epi32(a[r * a_row + p]);
            UNROLL for (int i = 0; i < VECTORS; i++) sums[r][i] = _mm512_dpbf16_ps(sums[r][i], pair, lanes[i]);
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int i = 0; i < VECTORS; i++) _mm512_storeu_ps(out + r * out_row + i * 16, sums[r][i]);
}

static void multiply(const int32_t *a, int64_t a_row, int64_t rows, const int32_t *panel, int64_t pairs, float *out,
                     int64_t out_row) {
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * a_row, out += ROWS * out_row)
        multiply_rows(ROWS, a, a_row, panel, pairs, out, out_row);
    switch (rows) {
    case 5: multiply_rows(5, a, a_row, panel, pairs, out, out_row); break;
    case 4: multiply_rows(4, a, a_row, panel, pairs, out, out_row); break;
    case 3: multiply_rows(3, a, a_row, panel, pairs, out, out_row); break;
    case 2: multiply_rows(2, a, a_row, panel, pairs, out, out_row); break;
    case 1: multiply_rows(1, a, a_row, panel, pairs, out, out_row); break;
    }
}

/* ---- packing: keys that nobody sees are not touched, and count as zeros ---- */

INLINE uint16_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* A key as bfloat16, turned, and filled up to whole pairs with zeros. */
static void ready_key(const struct many *m, int64_t n, int64_t key, float *wide, uint16_t *to) {
    const uint16_t *k = (const uint16_t *)(m->k + n * m->k_head + key * m->k_token);
    memcpy(to, k, (size_t)m->key_width * 2);
    to[m->key_width] = 0;
    if (!m->cos_KF) return;
    int64_t F = m->frequencies;
    for (int64_t d = 0; d < 2 * F; d++) {
        uint32_t bits = (uint32_t)k[d] << 16;
        memcpy(wide + d, &bits, sizeof bits);
    }
    turn(wide, F, m->interleaved, m->cos_KF + key * F, m->sin_KF + key * F, 1);
    for (int64_t d = 0; d < 2 * F; d++) to[d] = rounded(wide[d]);
}

static void pack_keys(const struct many *m, int64_t n, int64_t panel, float *wide, uint16_t *key) {
    int32_t *to = m->k_packed + (n * m->key_panels + panel) * m->steps * PANEL;
    int64_t low = low_of(m, 0), high = high_of(m, m->tokens - 1);
    for (int64_t lane = 0; lane < PANEL; lane++) {
        int64_t number = panel * PANEL + lane;
        if (number >= low && number < high) ready_key(m, n, number, wide, key);
        else memset(key, 0, (size_t)m->steps * 4);
        for (int64_t p = 0; p < m->steps; p++) memcpy(to + p * PANEL + lane, key + 2 * p, 4);
    }
}

static void pack_values(const struct many *m, int64_t n, int64_t panel) {
    int64_t pairs = m->key_panels * PANEL / 2, E = m->value_width, from = panel * PANEL, to = at_most(E, from + PANEL);
    int32_t *packed = m->v_packed + (n * m->value_panels + panel) * pairs * PANEL;
    memset(packed, 0, (size_t)(pairs * PANEL) * 4);
    for (int64_t key = low_of(m, 0); key < high_of(m, m->tokens - 1); key++) {
        const uint16_t *v = (const uint16_t *)(m->v + n * m->v_head + key * m->v_token) + from;
        int32_t *pairs_E = packed + key / 2 * PANEL, shift = key % 2 * 16;
        for (int64_t e = 0; e < to - from; e++) pairs_E[e] |= (int32_t)((uint32_t)v[e] << shift);
    }
}

static void do_packing(void *data) {
    struct many *m = data;
    int64_t each = m->key_panels + m->value_panels, task;
    float *wide = malloc((size_t)(m->key_width + 2) * (sizeof(float) + 2));
    if (!wide) {
        __atomic_store_n(&m->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    while ((task = __atomic_fetch_add(&m->next, 1, __ATOMIC_RELAXED)) < m->problems * each) {
        int64_t n = task / each, panel = task % each;
        if (panel < m->key_panels) pack_keys(m, n, panel, wide, (uint16_t *)(wide + m->key_width + 2));
        else pack_values(m, n, panel - m->key_panels);
    }
    free(wide);
}

/* ---- a block of tokens ---- */

/* What a thread works with, for the rows of one block. */
struct room {
    int32_t *q;        /* [rows, steps]: pairs */
    float *logits;     /* [rows, width] */
    uint16_t *weights; /* the same */
    float *out;        /* [rows, PANEL] */
    float *top, *total;
    int64_t width;
};

static void *new_room(const struct many *m, struct room *room) {
    int64_t rows = m->heads * m->block_tokens;
    room->width = m->key_panels * PANEL;
    int64_t bytes[] = {rows * m->steps * 4, rows * room->width * 4, rows * room->width * 2, rows * PANEL * 4, rows * 4,
                       rows * 4},
            size = 0;
    for (int i = 0; i < 6; i++) size += parts(bytes[i], LINE) * LINE;
    char *made = aligned_alloc(LINE, (size_t)size), *at = made;
    void **to[] = {(void **)&room->q, (void **)&room->logits, (void **)&room->weights, (void **)&room->out,
                   (void **)&room->top, (void **)&room->total};
    for (int i = 0; made && i < 6; at += parts(bytes[i], LINE) * LINE, i++) *to[i] = at;
    if (made) memset(room->q, 0, (size_t)bytes[0]);
    return made;
}

/* Logits of one row, in columns of `width`, become weights in bfloat16; keys outside of `[low, high)` get none. */
static void weigh(const struct many *m, const struct room *room, int64_t row, int64_t width, int64_t low, int64_t high) {
    float *logits = room->logits + row * room->width;
    uint16_t *weights = room->weights + row * room->width;
    for (int64_t i = 0; i < low; i++) logits[i] = -INFINITY;
    for (int64_t i = high; i < width; i++) logits[i] = -INFINITY;
    vec top = splat(-FLT_MAX), total = {0}, scale = splat(m->scale);
    for (int64_t i = 0; i < width; i += W) {
        vec x = get(logits + i) * scale;
        top = larger(x, top);
        put(logits + i, x);
    }
    float most = top[0];
    for (int i = 1; i < W; i++) most = top[i] > most ? top[i] : most;
    for (int64_t i = 0; i < width; i += W) {
        __m256bh weight = _mm512_cvtneps_pbh((__m512)exp_of(get(logits + i) - most));
        _mm256_storeu_si256((__m256i *)(weights + i), (__m256i)weight);
        total += load(BFLOAT16, (const char *)(weights + i), 0);
    }
    room->top[row] = most, room->total[row] = sum_of(total);
}

static void add_mass(const struct room *room, int64_t row, int64_t width, float lse, float others, float *mass) {
    float top = lse > others ? lse : others, whole = top + logf(expf(lse - top) + expf(others - top));
    float share = expf(lse - whole) / room->total[row];
    const char *weights = (const char *)(room->weights + row * room->width);
    for (int64_t i = 0; i < width; i += W) put(mass + i, get(mass + i) + load(BFLOAT16, weights, i) * share);
}

static void do_block(const struct many *m, const struct room *room, int64_t n, int64_t block) {
    int64_t first = block * m->block_tokens, tokens = at_most(m->block_tokens, m->tokens - first);
    int64_t rows = m->heads * tokens, D = m->key_width, E = m->value_width, M = m->heads * m->tokens;
    int64_t low = low_of(m, first), high = high_of(m, first + tokens - 1), from = low / PANEL, to = parts(high, PANEL);
    int64_t width = (to - from) * PANEL, before = from * PANEL;
    for (int64_t i = 0; i < rows; i++) {
        int64_t row = n * M + i / tokens * m->tokens + first + i % tokens;
        memcpy(room->q + i * m->steps, m->q_NMD + row * D, (size_t)D * 2);
    }
    const int32_t *keys = m->k_packed + (n * m->key_panels + from) * m->steps * PANEL;
    for (int64_t panel = 0; panel < to - from; panel++)
        multiply(room->q, m->steps, rows, keys + panel * m->steps * PANEL, m->steps, room->logits + panel * PANEL,
                 room->width);
    for (int64_t i = 0; i < rows; i++) {
        int64_t t = first + i % tokens, row = n * M + i / tokens * m->tokens + t;
        int64_t own_low = low_of(m, t), own_high = high_of(m, t);
        float *lse = m->lse_NM + row;
        if (own_low == own_high) own_low = own_high = before;
        weigh(m, room, i, width, own_low - before, own_high - before);
        int sees = own_low < own_high;
        *lse = sees ? room->top[i] + logf(room->total[i]) : -INFINITY;
        if (!sees) memset(room->weights + i * room->width, 0, (size_t)width * 2), room->total[i] = 1;
        if (sees && m->mass)
            add_mass(room, i, width, *lse, m->others_NM[row], m->mass + (n * m->blocks + block) * room->width + before);
    }
    int64_t pairs = room->width / 2;
    for (int64_t panel = 0; panel < m->value_panels; panel++) {
        const int32_t *values = m->v_packed + ((n * m->value_panels + panel) * pairs + before / 2) * PANEL;
        multiply((const int32_t *)room->weights, pairs, rows, values, width / 2, room->out, PANEL);
        for (int64_t i = 0; i < rows; i++) {
            int64_t row = n * M + i / tokens * m->tokens + first + i % tokens, dims = at_most(PANEL, E - panel * PANEL);
            float *out = m->out_NME + row * E + panel * PANEL, share = 1 / room->total[i];
            for (int64_t e = 0; e < dims; e++) out[e] = room->out[i * PANEL + e] * share;
        }
    }
}

static void do_blocks(void *data) {
    struct many *m = data;
    struct room room;
    void *made = new_room(m, &room);
    if (!made) {
        __atomic_store_n(&m->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    int64_t task;
    while ((task = __atomic_fetch_add(&m->next, 1, __ATOMIC_RELAXED)) < m->problems * m->blocks)
        do_block(m, &room, task / m->blocks, task % m->blocks);
    free(made);
}

static void run(struct many *m, work_fn *work) {
    m->next = 0;
    if (m->team && m->threads > 1) m->team(work, m, (unsigned)m->threads, 0);
    else work(m);
}

/* Returns 0, or 1 where memory was short. */
int farspan_many(struct many *m) {
    m->steps = parts(m->key_width, 2), m->failed = 0;
    m->block_tokens = at_most(m->tokens, at_least(1, BLOCK_ROWS / m->heads));
    m->blocks = parts(m->tokens, m->block_tokens);
    m->key_panels = parts(m->keys, PANEL), m->value_panels = parts(m->value_width, PANEL);
    int64_t width = m->key_panels * PANEL, mass = m->others_NM ? m->problems * m->blocks * width : 0;
    int64_t keys = m->problems * width * m->steps, values = m->problems * m->value_panels * PANEL * width / 2;
    int32_t *made = aligned_alloc(LINE, (size_t)(parts(keys + values + mass, LINE / 4) * LINE));
    if (!made) return 1;
    m->k_packed = made, m->v_packed = made + keys, m->mass = mass ? (float *)(made + keys + values) : NULL;
    if (mass) memset(m->mass, 0, (size_t)mass * sizeof(float));
    run(m, do_packing);
    if (!m->failed) run(m, do_blocks);
    for (int64_t i = 0; mass && !m->failed && i < m->problems * m->blocks; i++) {
        float *to = m->mass_NK + i / m->blocks * m->mass_row;
        for (int64_t key = 0; key < m->keys; key++) to[key] += m->mass[i * width + key];
    }
    free(made);
    return (int)m->failed;
}

int farspan_has_many(void) { return 1; }

#else

int farspan_many(struct many *m) { return m != NULL; }

int farspan_has_many(void) { return 0; }

#endif
