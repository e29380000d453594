/* The product of a weight matrix and a few rows, at the speed at which memory gives the weights: `y = x W^T`.
 *
 * Each row of weights is read once, in the order in which it lies, and meets all rows of x while it is in the cache.
 * Threads take rows of weights; a number of the result is computed by one of them, and so the same by any number.
 *
 * M rows of x, O outputs, I inputs.
 */

#include "vectors.h"

#define AHEAD 4096 /* bytes: a page */
#define SUMS 4
#define SHARE 64 /* rows of weights that a thread takes at once */

struct product {
    const char *w_OI;
    const float *x_MI;
    float *y_MO;
    int64_t rows, outputs, inputs, kind;
    int64_t next;
};

/* Numbers `i` to `n`, less than a vector of them; zeros behind. */
INLINE vec rest(enum kind kind, const char *at, int64_t i, int64_t n) {
    char part[4 * W] = {0};
    memcpy(part, at + i * size_of(kind), (size_t)((n - i) * size_of(kind)));
    return load(kind, part, 0);
}

INLINE float dot(enum kind kind, const char *w, const float *x, int64_t n, int64_t ahead) {
    vec sums[SUMS] = {0};
    int64_t i = 0, size = size_of(kind);
    for (; i + SUMS * W <= n; i += SUMS * W) {
        for (int64_t byte = 0; byte < SUMS * W * size && ahead; byte += LINE)
            __builtin_prefetch(w + i * size + ahead + byte);
        UNROLL for (int s = 0; s < SUMS; s++) sums[s] += load(kind, w, i + s * W) * get(x + i + s * W);
    }
    for (; i + W <= n; i += W) sums[0] += load(kind, w, i) * get(x + i);
    if (i < n) sums[1] += rest(kind, w, i, n) * rest(FLOAT32, (const char *)x, i, n);
    return sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

INLINE void outputs_of(enum kind kind, const struct product *p, int64_t first, int64_t end) {
    for (int64_t o = first; o < end; o++) {
        const char *w = p->w_OI + o * p->inputs * size_of(kind);
        for (int64_t m = 0; m < p->rows; m++)
            p->y_MO[m * p->outputs + o] = dot(kind, w, p->x_MI + m * p->inputs, p->inputs, m ? 0 : AHEAD);
    }
}

static void do_outputs(void *data) {
    struct product *p = data;
    int64_t first;
    while ((first = __atomic_fetch_add(&p->next, SHARE, __ATOMIC_RELAXED)) < p->outputs) {
        int64_t end = first + SHARE < p->outputs ? first + SHARE : p->outputs;
        if (p->kind == FLOAT32) outputs_of(FLOAT32, p, first, end);
        else if (p->kind == BFLOAT16) outputs_of(BFLOAT16, p, first, end);
        else outputs_of(FLOAT16, p, first, end);
    }
}

void farspan_product(const char *w_OI, const float *x_MI, float *y_MO, int64_t rows, int64_t outputs, int64_t inputs,
                     int64_t kind, team_fn *team, int64_t threads) {
    struct product p = {w_OI, x_MI, y_MO, rows, outputs, inputs, kind, 0};
    if (team && threads > 1) team(do_outputs, &p, (unsigned)threads, 0);
    else do_outputs(&p);
}
