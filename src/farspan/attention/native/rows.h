/* What is done with one row of numbers: its dot product with another, and turning its pairs by angles. */

#include "vectors.h"

#define SUMS 4

/* Numbers `i` to `n`, less than a vector of them; zeros behind. */
INLINE vec rest(enum kind kind, const char *at, int64_t i, int64_t n) {
    char part[4 * W] = {0};
    memcpy(part, at + i * size_of(kind), (size_t)((n - i) * size_of(kind)));
    return load(kind, part, 0);
}

/* The dot product of n numbers; `w` is fetched so many bytes ahead, unless that is 0. */
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

/* Turn the pairs of `x` by cos and sin, the other way where `sign` is -1. */
INLINE void turn(float *x, int64_t frequencies, int64_t interleaved, const float *cos_F, const float *sin_F,
                 float sign) {
    int64_t step = interleaved ? 2 : 1, second = interleaved ? 1 : frequencies;
    for (int64_t f = 0; f < frequencies; f++) {
        float *a = x + f * step, *b = a + second, first = *a, sine = sign * sin_F[f];
        *a = first * cos_F[f] - *b * sine;
        *b = *b * cos_F[f] + first * sine;
    }
}
