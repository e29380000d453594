/* The best rows of an index: the scores of a scan, piece by piece, and the numbers of the highest.
 *
 * A row's rank is one whole number that sorts by score and then by row, the earlier first, so that no choice hangs on
 * how the scan is cut. The best ranks of a search are a heap with the least on top.
 *
 * H query heads, T tokens, G KV heads, D key width, F rotary frequencies, N searches, n rows of a piece, X best rows.
 */

#include <stdlib.h>

#include "rows.h"

#define LAST_ROW 0x7fffffffLL
#define SHARE 64     /* rows that a thread scores at once */
#define AHEAD 2048   /* bytes */

/* Whether heads share a search is told by `searches`, which is then 1, otherwise H. Strides are in bytes; the order is
 * that of `structs.py`. */
struct match {
    const float *q_HTD, *cos_TF, *sin_TF; /* the last two are 0 where queries are not turned */
    int64_t heads, tokens, width, frequencies, interleaved, searches, kv_heads;
    const char *k_GnD;
    int64_t k_head, k_row, kind, first, rows;
    int64_t *best_NX;
    int64_t count;
    team_fn *team;
    int64_t threads;
    /* What follows is made here. */
    float *q_ND, *score_Nn; /* the mean queries of all searches; those of a shared one are a sum a KV head: [G, D] */
    int64_t next;
};

INLINE int32_t ordered(float score) {
    int32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits ^ ((bits >> 31) & 0x7fffffff);
}

/* Put a rank in the place of the least. */
static void replace(int64_t *heap, int64_t count, int64_t rank) {
    int64_t at = 0, below;
    while ((below = 2 * at + 1) < count) {
        if (below + 1 < count && heap[below + 1] < heap[below]) below++;
        if (heap[below] >= rank) break;
        heap[at] = heap[below], at = below;
    }
    heap[at] = rank;
}

/* Most vectors have no score that reaches the least of the best. */
static void keep(int64_t *heap, int64_t count, const float *score_n, int64_t first, int64_t rows) {
    for (int64_t i = 0; i < rows; i += W) {
        if (i + W <= rows) {
            ivec bits = (ivec)get(score_n + i), order = bits ^ ((bits >> 31) & 0x7fffffff);
            if (!any(order >= (int32_t)(heap[0] >> 32))) continue;
        }
        for (int64_t row = i; row < rows && row < i + W; row++) {
            int64_t rank = (int64_t)ordered(score_n[row]) * (1LL << 32) + (LAST_ROW - first - row);
            if (rank > heap[0]) replace(heap, count, rank);
        }
    }
}

/* Scores `[N, n]` of rows `first` on, into heaps that begin with the least of all numbers. */
void farspan_keep(const float *score_Nn, int64_t stride, int64_t searches, int64_t rows, int64_t first,
                  int64_t *best_NX, int64_t count) {
    for (int64_t n = 0; n < searches; n++) keep(best_NX + n * count, count, score_Nn + n * stride, first, rows);
}

/* The mean of a head's queries over its tokens, turned, is added to `to`. */
static void add_mean(const struct match *m, int64_t head, float *to, float *room) {
    for (int64_t t = 0; t < m->tokens; t++) {
        memcpy(room, m->q_HTD + (head * m->tokens + t) * m->width, (size_t)m->width * sizeof(float));
        if (m->cos_TF)
            turn(room, m->frequencies, m->interleaved, m->cos_TF + t * m->frequencies, m->sin_TF + t * m->frequencies, 1);
        for (int64_t d = 0; d < m->width; d++) to[d] += room[d] / (float)m->tokens;
    }
}

INLINE void scores_of(enum kind kind, const struct match *m, int64_t first, int64_t end) {
    int64_t shared = m->searches == 1, own = shared ? 1 : m->heads / m->kv_heads;
    for (int64_t g = 0; g < m->kv_heads; g++)
        for (int64_t row = first; row < end; row++) {
            const char *k = m->k_GnD + g * m->k_head + row * m->k_row;
            for (int64_t h = g * own; h < (g + 1) * own; h++) {
                float score = dot(kind, k, m->q_ND + h * m->width, m->width, AHEAD), *to = m->score_Nn + row;
                if (shared) *to = g ? *to + score : score;
                else to[h * m->rows] = score;
            }
        }
}

static void do_rows(void *data) {
    struct match *m = data;
    int64_t first;
    while ((first = __atomic_fetch_add(&m->next, SHARE, __ATOMIC_RELAXED)) < m->rows) {
        int64_t end = at_most(first + SHARE, m->rows);
        if (m->kind == FLOAT32) scores_of(FLOAT32, m, first, end);
        else if (m->kind == BFLOAT16) scores_of(BFLOAT16, m, first, end);
        else scores_of(FLOAT16, m, first, end);
    }
}

/* Keep the rows whose products with the mean queries are largest; a shared search adds them up over all heads. Returns
 * 0, or 1 where memory was short. */
int farspan_match(struct match *m) {
    int64_t shared = m->searches == 1, group = m->heads / m->kv_heads, vectors = shared ? m->kv_heads : m->heads;
    float *made = calloc((size_t)((vectors + 1) * m->width + m->searches * m->rows), sizeof(float));
    if (!made) return 1;
    m->q_ND = made, m->score_Nn = made + (vectors + 1) * m->width, m->next = 0;
    for (int64_t h = 0; h < m->heads; h++)
        add_mean(m, h, made + (shared ? h / group : h) * m->width, made + vectors * m->width);
    if (m->team && m->threads > 1) m->team(do_rows, m, (unsigned)m->threads, 0);
    else do_rows(m);
    farspan_keep(m->score_Nn, m->rows, m->searches, m->rows, m->first, m->best_NX, m->count);
    free(made);
    return 0;
}

static int upwards(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The rows of the `most` highest ranks of every heap `[N, X]`, to `[N, most]`: in the order of the text, or the best
 * first. */
void farspan_best(int64_t *best_NX, int64_t searches, int64_t count, int64_t most, int64_t in_order, int64_t *rows_NX) {
    for (int64_t n = 0; n < searches; n++) {
        int64_t *heap = best_NX + n * count, *rows = rows_NX + n * most;
        qsort(heap, (size_t)count, sizeof *heap, upwards);
        for (int64_t i = 0; i < most; i++) rows[i] = LAST_ROW - (heap[count - 1 - i] & 0xffffffff);
        if (in_order) qsort(rows, (size_t)most, sizeof *rows, upwards);
    }
}
