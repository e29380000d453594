/* The product of weight matrices and a few rows, at the speed at which memory gives the weights.
 *
 * Each row of weights is read once, in the order in which it lies, and meets all rows of x while it is in the cache.
 * Threads take rows of weights; a number of the result is computed by one of them, and so the same by any number.
 */

#include "product.h"

#define AHEAD 4096 /* bytes: a page */
#define SHARE 64 /* rows of weights that a thread takes at once */

struct products {
    const float *x_MI;
    const struct matrix *each;
    int64_t count, rows, inputs, kind;
    int64_t next;
};

INLINE void outputs_of(enum kind kind, const struct products *p, const struct matrix *one, int64_t first) {
    int64_t end = at_most(first + SHARE, one->outputs);
    for (int64_t o = first; o < end; o++) {
        const char *w = one->w_OI + o * p->inputs * size_of(kind);
        float bias = one->bias_O ? rest(kind, one->bias_O, o, o + 1)[0] : 0.0f;
        for (int64_t m = 0; m < p->rows; m++)
            one->y_MO[m * one->outputs + o] = dot(kind, w, p->x_MI + m * p->inputs, p->inputs, m ? 0 : AHEAD) + bias;
    }
}

static void do_outputs(void *data) {
    struct products *p = data;
    for (;;) {
        int64_t share = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED), shares, i = 0;
        for (; i < p->count && share >= (shares = (p->each[i].outputs + SHARE - 1) / SHARE); i++) share -= shares;
        if (i == p->count) return;
        if (p->kind == FLOAT32) outputs_of(FLOAT32, p, p->each + i, share * SHARE);
        else if (p->kind == BFLOAT16) outputs_of(BFLOAT16, p, p->each + i, share * SHARE);
        else outputs_of(FLOAT16, p, p->each + i, share * SHARE);
    }
}

void farspan_products(const float *x_MI, const struct matrix *each, int64_t count, int64_t rows, int64_t inputs,
                      int64_t kind, team_fn *team, int64_t threads) {
    struct products p = {x_MI, each, count, rows, inputs, kind, 0};
    if (team && threads > 1) team(do_outputs, &p, (unsigned)threads, 0);
    else do_outputs(&p);
}
