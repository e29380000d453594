/* Products of queries with keys that are stored as small whole numbers.
 *
 * Code c of a channel stands for low + step * c, where a group of tokens has a low and a step for every channel. So a
 * group changes the queries and not its keys: the product is that of q * step with the codes, and the sum of q * low.
 *
 * G KV heads, M queries of each, D channels, n blocks, B tokens in a block, P numbers of a query as codes meet it.
 */

#include <stdlib.h>

#include "rows.h"

#define MOST 8  /* queries that meet a key at once */
#define SHARE 4 /* groups that a thread takes at once */

typedef uint8_t bytes_anywhere __attribute__((vector_size(W), aligned(1), may_alias));

/* Strides are in bytes; the order is that of `structs.py`. */
struct codes {
    const float *q_GMD;
    int64_t heads, queries, width;
    const char *code;
    int64_t code_head, code_block, code_token;
    const char *grid; /* low and step of a channel side by side, in half precision */
    int64_t grid_head, grid_block, grid_group;
    int64_t bits, group, blocks, tokens;
    float *y_GMnB;
    team_fn *team;
    int64_t threads;
    /* What follows is made here. */
    float *room;
    int64_t own, next, begun;
};

INLINE int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

/* Codes of four bits stand two to a byte, so the queries' even channels come first, and then the odd ones. */
INLINE int64_t half_of(const struct codes *c) { return padded((c->width + 1) / 2); }

INLINE int64_t query_of(const struct codes *c) { return c->bits == 8 ? padded(c->width) : 2 * half_of(c); }

/* W grids, or those that are left. */
INLINE uvec grids(const char *grid, int64_t d, int64_t width) {
    uvec pair = {0};
    memcpy(&pair, grid + 4 * d, (size_t)(4 * at_most(W, width - d)));
    return pair;
}

INLINE vec queries_at(const float *q_D, int64_t d, int64_t width) {
    return d + W <= width ? get(q_D + d) : rest(FLOAT32, (const char *)q_D, d, width);
}

/* A head's queries as this group's codes meet them `[M, P]`, and what is added to each product `[M]`. */
static void prepare(const struct codes *c, const float *q_MD, const char *grid, float *to_MP, float *sum_M, float *line) {
    int64_t half = half_of(c), P = query_of(c);
    for (int64_t m = 0; m < c->queries; m++) {
        float *to = to_MP + m * P, *at = c->bits == 8 ? to : line;
        vec sum = {0};
        for (int64_t d = 0; d < c->width; d += W) {
            uvec pair = grids(grid, d, c->width);
            vec q = queries_at(q_MD + m * c->width, d, c->width);
            put(at + d, q * from_float16(pair >> 16));
            sum += q * from_float16(pair & 0xffff);
        }
        sum_M[m] = sum_of(sum);
        for (int64_t d = 0; d < half && c->bits == 4; d++) to[d] = line[2 * d], to[half + d] = line[2 * d + 1];
    }
}

INLINE ivec codes_at(const char *code, int64_t i, int64_t bytes) {
    bytes_anywhere part = {0};
    if (i + W <= bytes) part = *(const bytes_anywhere *)(code + i);
    else memcpy(&part, code + i, (size_t)(bytes - i));
    return __builtin_convertvector(part, ivec);
}

INLINE vec as_float(ivec x) { return __builtin_convertvector(x, vec); }

/* One key and R queries. */
INLINE void meet(int64_t bits, int64_t R, const struct codes *c, const char *code, const float *q_RP, const float *sum_R,
                 float *y, int64_t apart) {
    int64_t bytes = bits == 8 ? c->width : (c->width + 1) / 2, half = half_of(c), P = query_of(c);
    vec sums[MOST] = {0};
    for (int64_t i = 0; i < bytes; i += W) {
        ivec x = codes_at(code, i, bytes);
        vec low = as_float(bits == 8 ? x : x & 15), high = as_float(x >> 4);
        UNROLL for (int64_t r = 0; r < R; r++) {
            sums[r] += low * get(q_RP + r * P + i);
            if (bits == 4) sums[r] += high * get(q_RP + r * P + half + i);
        }
    }
    UNROLL for (int64_t r = 0; r < R; r++) y[r * apart] = sum_of(sums[r]) + sum_R[r];
}

/* R queries of a head, from m on, and the keys of one group, which both stay in the cache. */
INLINE void meet_keys(int64_t bits, int64_t R, const struct codes *c, const char *code, const float *room, int64_t m,
                      float *y, int64_t keys) {
    int64_t P = query_of(c), apart = c->blocks * c->tokens;
    for (int64_t key = 0; key < keys; key++)
        meet(bits, R, c, code + key * c->code_token, room + m * P, room + c->queries * P + m, y + m * apart + key, apart);
}

/* All queries of a head and the keys of one group. */
INLINE void meet_group(int64_t bits, const struct codes *c, int64_t head, int64_t block, int64_t group, float *room) {
    int64_t M = c->queries, P = query_of(c), first = group * c->group, keys = at_most(c->group, c->tokens - first), m = 0;
    const char *grid = c->grid + head * c->grid_head + block * c->grid_block + group * c->grid_group;
    const char *code = c->code + head * c->code_head + block * c->code_block + first * c->code_token;
    float *y = c->y_GMnB + (head * M * c->blocks + block) * c->tokens + first;
    prepare(c, c->q_GMD + head * M * c->width, grid, room, room + M * P, room + M * P + M);
    for (; m + MOST <= M; m += MOST) meet_keys(bits, MOST, c, code, room, m, y, keys);
    for (; m + 2 <= M; m += 2) meet_keys(bits, 2, c, code, room, m, y, keys);
    if (m < M) meet_keys(bits, 1, c, code, room, m, y, keys);
}

static void do_groups(void *data) {
    struct codes *c = data;
    int64_t groups = (c->tokens + c->group - 1) / c->group, all = c->heads * c->blocks * groups, first;
    float *room = c->room + c->own * __atomic_fetch_add(&c->begun, 1, __ATOMIC_RELAXED);
    while ((first = __atomic_fetch_add(&c->next, SHARE, __ATOMIC_RELAXED)) < all)
        for (int64_t i = first; i < at_most(first + SHARE, all); i++) {
            int64_t group = i % groups, block = i / groups % c->blocks, head = i / groups / c->blocks;
            if (c->bits == 8) meet_group(8, c, head, block, group, room);
            else meet_group(4, c, head, block, group, room);
        }
}

/* Returns 0, or 1 where memory was short. */
int farspan_codes(struct codes *c) {
    int64_t threads = at_least(1, c->threads), P = query_of(c);
    c->own = c->queries * (P + 1) + P + W, c->next = c->begun = 0;
    c->room = calloc((size_t)(threads * c->own), sizeof(float));
    if (!c->room) return 1;
    if (c->team && threads > 1) c->team(do_groups, c, (unsigned)threads, 0);
    else do_groups(c);
    free(c->room);
    return 0;
}
