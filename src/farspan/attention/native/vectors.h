/* Vectors of W floats, as wide as this machine has them, written with what gcc and clang share. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define W 16
#define ACCUMULATORS 16
#define LANES(f, h) f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h), \
    f(8, h), f(9, h), f(10, h), f(11, h), f(12, h), f(13, h), f(14, h), f(15, h)
#elif defined(__AVX__)
#define W 8
#define ACCUMULATORS 8
#define LANES(f, h) f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h)
#else
#define W 4
#if defined(__aarch64__)
#define ACCUMULATORS 16
#else
#define ACCUMULATORS 8
#endif
#define LANES(f, h) f(0, h), f(1, h), f(2, h), f(3, h)
#endif

#define LINE 64 /* bytes that the cache reads at once */

#define INLINE static inline __attribute__((always_inline))

INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

#define UNROLL _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ivec __attribute__((vector_size(4 * W)));
typedef uint32_t uvec __attribute__((vector_size(4 * W)));
typedef float vec_anywhere __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef uint16_t halves_anywhere __attribute__((vector_size(2 * W), aligned(2), may_alias));

enum kind { FLOAT32, BFLOAT16, FLOAT16 };

INLINE int64_t size_of(enum kind kind) { return kind == FLOAT32 ? 4 : 2; }

INLINE vec splat(float x) { return x - (vec){0}; }

INLINE vec get(const float *at) { return *(const vec_anywhere *)at; }

INLINE void put(float *at, vec x) { *(vec_anywhere *)at = x; }

INLINE vec choose(ivec where, vec a, vec b) { return (vec)((where & (ivec)a) | (~where & (ivec)b)); }

INLINE int any(ivec x) {
    uint64_t parts[W / 2], some = 0;
    memcpy(parts, &x, sizeof x);
    UNROLL for (int i = 0; i < W / 2; i++) some |= parts[i];
    return some != 0;
}

INLINE vec larger(vec a, vec b) { return choose(a > b, a, b); }

/* float16 by its bits: its exponent has 112 less than that of float32; infinities become 65536. */
INLINE vec from_float16(uvec x) {
    vec size = (vec)((x & 0x7fff) << 13) * splat(0x1p112f);
    return (vec)((uvec)size | (x & 0x8000) << 16);
}

/* W numbers from element `i` on, as float32. */
INLINE vec load(enum kind kind, const char *at, int64_t i) {
    if (kind == FLOAT32) return get((const float *)at + i);
    uvec x = __builtin_convertvector(*(const halves_anywhere *)((const uint16_t *)at + i), uvec);
    return kind == BFLOAT16 ? (vec)(x << 16) : from_float16(x);
}

/* e to the x for x <= 0, to 2e-7 of itself; 0 below -87, where it leaves the range of float32. */
INLINE vec exp_of(vec x) {
    const vec round = splat(0x1.8p23f);
    vec shifted = x * splat(1.44269504f) + round, n = shifted - round;
    vec r = x - n * splat(0.693359375f) + n * splat(2.12194440e-4f);
    vec p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    ivec power = ((ivec)shifted - (ivec)round) << 23;
    vec e = (vec)(((ivec)p + power) & (x > splat(-87.0f)));
    return choose(x == x, e, x);
}

/* Sums in lanes: lane i of the results, one after the other, is the sum of all lanes of `x[i]`. Lanes at a distance of
 * 1, 2, 4, 8 are added in turn; each time two vectors become one that has what was left of the first where the
 * distance's bit of the lane's number is 0, and of the second where it is 1. */
#define OWN(i, h) ((i) & (h) ? W + (i) : (i))
#define OTHER(i, h) ((i) & (h) ? W + (i) - (h) : (i) + (h))
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, f, h) __builtin_shufflevector(a, b, LANES(f, h))
#else
#define SHUFFLE(a, b, f, h) __builtin_shuffle(a, b, (ivec){LANES(f, h)})
#endif
#define FOLD(h) \
    UNROLL for (int i = 0; i < ACCUMULATORS / (h); i += 2) \
        x[i / 2] = SHUFFLE(x[i], x[i + 1], OWN, h) + SHUFFLE(x[i], x[i + 1], OTHER, h);

INLINE void sum_lanes(vec *x) {
    FOLD(1)
    FOLD(2)
#if W > 4
    FOLD(4)
#endif
#if W > 8
    FOLD(8)
#endif
}

#define APART(i, h) ((i) ^ (h))

/* The sum of all lanes. */
INLINE float sum_of(vec x) {
    x += SHUFFLE(x, x, APART, 1);
    x += SHUFFLE(x, x, APART, 2);
#if W > 4
    x += SHUFFLE(x, x, APART, 4);
#endif
#if W > 8
    x += SHUFFLE(x, x, APART, 8);
#endif
    return x[0];
}

#define LARGER_APART(h) \
    if (h >= R) x = larger(x, SHUFFLE(x, x, APART, h));

/* In every lane the largest of all lanes that are a multiple of R from it. */
INLINE vec largest_of_rows(vec x, int64_t R) {
    LARGER_APART(1)
    LARGER_APART(2)
#if W > 4
    LARGER_APART(4)
#endif
#if W > 8
    LARGER_APART(8)
#endif
    return x;
}

/* Runs a function on so many threads. */
typedef void work_fn(void *);
typedef void team_fn(work_fn *, void *, unsigned, unsigned);
