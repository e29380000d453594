/* What lies between the products of a decoder's layer, for a few rows: its norm and its gated network.
 *
 * M rows, I inputs, H hidden numbers, O outputs.
 */

#include "product.h"

INLINE void norm_of(enum kind kind, const float *x_I, const char *w_I, float *y_I, int64_t inputs, float epsilon) {
    vec sum = {0};
    int64_t i = 0, whole = inputs - inputs % W;
    for (; i < whole; i += W) sum += get(x_I + i) * get(x_I + i);
    vec last = rest(FLOAT32, (const char *)x_I, i, inputs);
    vec factor = splat(1.0f / __builtin_sqrtf(sum_of(sum + last * last) / (float)inputs + epsilon));
    for (i = 0; i < whole; i += W) put(y_I + i, get(x_I + i) * factor * load(kind, w_I, i));
    last *= factor * rest(kind, w_I, i, inputs);
    memcpy(y_I + i, &last, (size_t)(inputs - i) * sizeof(float));
}

/* Every row of x by its root mean square, times `w_I`. */
void farspan_norm(const float *x_MI, const char *w_I, float *y_MI, int64_t rows, int64_t inputs, int64_t kind,
                  float epsilon) {
    for (int64_t m = 0; m < rows; m++) {
        const float *x_I = x_MI + m * inputs;
        float *y_I = y_MI + m * inputs;
        if (kind == FLOAT32) norm_of(FLOAT32, x_I, w_I, y_I, inputs, epsilon);
        else if (kind == BFLOAT16) norm_of(BFLOAT16, x_I, w_I, y_I, inputs, epsilon);
        else norm_of(FLOAT16, x_I, w_I, y_I, inputs, epsilon);
    }
}

/* x / (1 + e^-x), by a power of e that cannot overflow. */
INLINE vec silu(vec x) {
    vec e = exp_of(choose(x > 0, -x, x));
    return x * choose(x > 0, splat(1.0f), e) / (splat(1.0f) + e);
}

static void gate(float *gate_n, const float *up_n, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) put(gate_n + i, silu(get(gate_n + i)) * get(up_n + i));
    vec last = silu(rest(FLOAT32, (const char *)gate_n, i, n)) * rest(FLOAT32, (const char *)up_n, i, n);
    memcpy(gate_n + i, &last, (size_t)(n - i) * sizeof(float));
}

/* `(silu(x G^T) * (x U^T)) D^T`: the three matrices in this order, each with room for what it gives. */
void farspan_gated(const float *x_MI, const struct matrix *each, int64_t rows, int64_t inputs, int64_t kind,
                   team_fn *team, int64_t threads) {
    float *hidden_MH = each[0].y_MO;
    farspan_products(x_MI, each, 2, rows, inputs, kind, team, threads);
    gate(hidden_MH, each[1].y_MO, rows * each[0].outputs);
    farspan_products(hidden_MH, each + 2, 1, rows, each[0].outputs, kind, team, threads);
}

static void add(float *to_n, const float *x_n, int64_t n) {
    for (int64_t i = 0; i < n; i++) to_n[i] += x_n[i];
}

/* What a layer does before its attention: x, normed, times each of three matrices. */
void farspan_before(const float *x_MI, const char *norm_I, float *normed_MI, const struct matrix *each, int64_t rows,
                    int64_t inputs, int64_t kind, float epsilon, team_fn *team, int64_t threads) {
    farspan_norm(x_MI, norm_I, normed_MI, rows, inputs, kind, epsilon);
    farspan_products(normed_MI, each, 3, rows, inputs, kind, team, threads);
}

/* What it does after it: `a`, of so many numbers a row, times a matrix is added to x; that, normed, goes through the
 * gated network of the other three, which adds to it. */
void farspan_after(const float *x_MI, const float *a_MH, const char *norm_I, float *normed_MI,
                   const struct matrix *each, int64_t rows, int64_t inputs, int64_t hidden, int64_t kind,
                   float epsilon, team_fn *team, int64_t threads) {
    float *y_MI = each[0].y_MO;
    farspan_products(a_MH, each, 1, rows, hidden, kind, team, threads);
    add(y_MI, x_MI, rows * inputs);
    farspan_norm(y_MI, norm_I, normed_MI, rows, inputs, kind, epsilon);
    farspan_gated(normed_MI, each + 1, rows, inputs, kind, team, threads);
    add(each[3].y_MO, y_MI, rows * inputs);
}
