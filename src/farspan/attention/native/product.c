/* The product of a weight matrix and a few rows, at the speed at which memory gives the weights: `y = x W^T`.
 *
 * Each row of weights is read once, in the order in which it lies, and meets all rows of x while it is in the cache.
 * Threads take rows of weights; a number of the result is computed by one of them, and so the same by any number.
 *
 * M rows of x, O outputs, I inputs.
 */

#include "rows.h"

#define AHEAD 4096 /* bytes: a page */
#define SHARE 64 /* rows of weights that a thread takes at once */

struct product {
    const char *w_OI;
    const float *x_MI;
    float *y_MO;
    int64_t rows, outputs, inputs, kind;
    int64_t next;
};

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
        int64_t end = at_most(first + SHARE, p->outputs);
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
