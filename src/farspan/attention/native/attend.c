/* Attention of a few query rows to many keys, straight from where these lie.
 *
 * A search, of one KV head, meets runs of neighbouring tokens; all its rows share a key that has been loaded. Searches
 * and pieces of their keys are tasks for threads; a task goes through its keys tile by tile, with the softmax as it
 * goes, and fetches the next tile into the cache while it computes. Pieces depend on the shapes alone, and are joined
 * in order: the result is the same for any number of threads.
 *
 * N searches, X runs, B tokens in a run, M rows, K keys, D key width, E value width, F rotary frequencies.
 */

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "rows.h"

#define TILE 64         /* most keys in a tile */
#define TILE_BYTES 8192 /* and about how many bytes of keys: more would not stay in the cache while they are used */
#define TOUCHED 16      /* keys from one that is touched ahead to the next */
#define SHORT 8         /* runs of less tokens share a tile: their keys are turned one by one, not their queries */
#define BLOCK_WIDTH 4   /* vectors of a value that are summed at once */
#define STRONGEST 8     /* keys of a row that are told, where any are */

/* How keys are turned: not; or all of a run alike, which turns its queries the other way instead; or each by what it
 * is further than the first of its run, the queries doing the rest; or each by its whole angle. */
enum turning { AS_STORED, BY_QUERIES, WITHIN, EACH };

/* Where keys and values lie, and how many bytes heads and tokens are apart. */
struct memory {
    const char *k, *v;
    int64_t k_head, k_token, v_head, v_token;
};

/* Strides are in numbers; the order is that of `structs.py`. */
struct job {
    const float *q_NMD;
    struct memory memory;
    const struct memory *others; /* memories 1, 2, ... of the runs that `memory_NX` says lie there */
    const int64_t *memory_NX;
    int64_t memory_row;
    const int64_t *heads_N, *first_NX;
    int64_t first_row, searches, rows, length, keys, key_width, value_width, kind;
    int64_t turned, frequencies, interleaved, start_row, keys_only; /* then there are logits and nothing else */
    const float *start_cos, *start_sin, *within_cos, *within_sin;
    const int64_t *skip_N;
    int64_t tokens, low, high, least; /* row m, of token t = m % tokens, sees keys low + t to max(high + t, least) */
    float scale, softcap;
    float *out_NME, *lse_NM, *logits_NMK;
    const float *q_cos, *q_sin; /* how the queries are turned, if they are not yet */
    const int64_t *place_NX; /* where in the text runs begin, if the strongest keys are wanted */
    int64_t place_row;
    float *mass_NK; /* grows by the attention that keys receive */
    int64_t mass_row;
    int64_t pieces, piece;
    team_fn *team;
    int64_t threads;
    /* What follows is made here. */
    char *made;
    float *parts; /* [tasks, M, E + 2]: sums, the largest logit, the total */
    float *best_logits; /* [tasks, M, STRONGEST], the strongest first */
    int64_t *best_places;
    const float *told; /* [N, M, STRONGEST]: those of earlier jobs, which others have to surpass */
    int64_t next, failed;
};

struct tile {
    int64_t key, run, count; /* of the first key: its number and that of its run */
    const char *k[TILE], *v[TILE];
    int32_t offset[TILE]; /* in its run */
};

enum state { TOP, TOTAL, DECAY };

/* What a thread works with. D and E are filled up to whole vectors, M to whole blocks of R rows. */
struct work {
    int64_t padded_rows, block_rows, D, E, tile_keys, k_bytes, v_bytes;
    enum turning turning;
    enum kind k_kind, v_kind;
    int copies_k, copies_v;
    struct tile tiles[2];
    float *q, *k, *v, *sums, *weights;
    float *state; /* of a block of rows: three vectors */
    float *best_logits; /* of the task */
    int64_t *best_places;
};

INLINE int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* The keys that a row sees. */
INLINE int64_t low_of(const struct job *job, int64_t row) {
    return at_most(job->keys, at_least(0, job->low + row % job->tokens));
}
INLINE int64_t high_of(const struct job *job, int64_t row) {
    return at_most(job->keys, at_least(job->least, job->high + row % job->tokens));
}

/* ---- tiles ---- */

/* List the keys from one on, as many as a tile takes. Where a run begins and every so many keys one is touched, a tile
 * ahead: to look its page up takes long, too, and some processors then bring in what lies around it. */
static void fill(const struct job *job, const struct work *work, int64_t n, int64_t key, int64_t end,
                 struct tile *tile) {
    int64_t run = key / job->length, offset = key % job->length;
    int alone = work->turning == BY_QUERIES || work->turning == WITHIN;
    end = at_most(end, alone ? (run + 1) * job->length : end);
    tile->key = key, tile->run = run, tile->count = at_least(0, at_most(work->tile_keys, end - key));
    const int64_t *first_X = job->first_NX + n * job->first_row;
    for (int64_t t = 0; t < tile->count; run++, offset = 0) {
        int64_t other = job->others ? job->memory_NX[n * job->memory_row + run] : 0, head = job->heads_N[n];
        const struct memory *memory = other ? job->others + other - 1 : &job->memory;
        const char *k = memory->k + head * memory->k_head, *v = memory->v + head * memory->v_head;
        int64_t token = first_X[run] + offset, stop = at_most(tile->count, t + job->length - offset);
        for (; t < stop; t++, token++, offset++) {
            tile->k[t] = k + token * memory->k_token;
            tile->v[t] = v + token * memory->v_token;
            tile->offset[t] = (int32_t)offset;
            if (t % TOUCHED == 0 || offset == 0) __builtin_prefetch(tile->k[t]), __builtin_prefetch(tile->v[t]);
        }
    }
}

/* What will be read soon is brought into the cache meanwhile, line after line: the values of a tile during its dots, the
 * keys of the next one while values are summed. */
INLINE void prefetch(const char *at, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += LINE) __builtin_prefetch(at + i);
}

/* ---- turning ---- */

static void turn_by(const struct job *job, float *x, const float *cos_F, const float *sin_F, float sign) {
    turn(x, job->frequencies, job->interleaved, cos_F, sin_F, sign);
}

/* The queries of search n, scaled, and turned back by where a run starts. */
static void ready_queries(const struct job *job, struct work *work, int64_t n, int64_t run) {
    int64_t F = job->frequencies, at = n * job->start_row + run * F;
    for (int64_t m = 0; m < job->rows; m++) {
        const float *from = job->q_NMD + (n * job->rows + m) * job->key_width;
        float *q = work->q + m * work->D;
        for (int64_t d = 0; d < job->key_width; d++) q[d] = from[d] * job->scale;
        if (job->q_cos) turn_by(job, q, job->q_cos, job->q_sin, 1);
        if (work->turning == BY_QUERIES || work->turning == WITHIN)
            turn_by(job, q, job->start_cos + at, job->start_sin + at, -1);
    }
}

static void widen(enum kind kind, const char *from, float *to, int64_t width) {
    int64_t i = 0;
    for (; i + W <= width; i += W) put(to + i, load(kind, from, i));
    if (i == width) return;
    char rest[4 * W] = {0};
    memcpy(rest, from + i * size_of(kind), (size_t)((width - i) * size_of(kind)));
    put(to + i, load(kind, rest, 0));
}

static void copy_keys(const struct job *job, struct work *work, struct tile *tile, int64_t n) {
    int64_t F = job->frequencies;
    for (int64_t t = 0; t < tile->count; t++) {
        float *k = work->k + t * work->D;
        widen(job->kind, tile->k[t], k, job->key_width);
        int64_t run = (tile->key + t) / job->length, at = n * job->start_row + run * F;
        if (work->turning == EACH) turn_by(job, k, job->start_cos + at, job->start_sin + at, 1);
        if (work->turning != AS_STORED && job->within_cos)
            turn_by(job, k, job->within_cos + tile->offset[t] * F, job->within_sin + tile->offset[t] * F, 1);
        tile->k[t] = (const char *)k;
    }
}

static void copy_values(const struct job *job, struct work *work, struct tile *tile) {
    for (int64_t t = 0; t < tile->count; t++) {
        float *v = work->v + t * work->E;
        widen(job->kind, tile->v[t], v, job->value_width);
        tile->v[t] = (const char *)v;
    }
}

/* ---- logits ---- */

/* Dots of R rows with a tile, to `out[t * R + r]`: a group of keys at a time, as many as there are accumulators. */
INLINE void dots(enum kind kind, const int R, const int within, const struct job *job, const struct work *work,
                 const struct tile *tile, const float *q, float *out) {
    enum { MOST = ACCUMULATORS };
    const int group = MOST / R;
    int64_t D = work->D, half = within ? job->frequencies : 0;
    int64_t bytes = q == work->q ? work->v_bytes : 0, steps = (D - half) / W, share = (group + steps - 1) / steps;
    for (int64_t t = 0; t < tile->count; t += group) {
        vec sums[MOST] = {0}, a[MOST], b[MOST];
        const char *k[MOST];
        const float *cosine[MOST], *sine[MOST];
        UNROLL for (int g = 0; g < group; g++) {
            int64_t one = at_most(t + g, tile->count - 1);
            k[g] = tile->k[one];
            cosine[g] = job->within_cos + tile->offset[one] * half;
            sine[g] = job->within_sin + tile->offset[one] * half;
        }
        int64_t ahead = t, end = at_most(t + group, tile->count);
        for (int64_t d = 0; d < half; d += W) {
            for (int64_t i = 0; i < share && ahead < end; i++) prefetch(tile->v[ahead++], bytes);
            UNROLL for (int g = 0; g < group; g++) {
                vec first = load(kind, k[g], d), second = load(kind, k[g], half + d);
                vec c = get(cosine[g] + d), s = get(sine[g] + d);
                a[g] = first * c - second * s, b[g] = second * c + first * s;
            }
            UNROLL for (int r = 0; r < R; r++) {
                vec first = get(q + r * D + d), second = get(q + r * D + half + d);
                UNROLL for (int g = 0; g < group; g++) sums[g * R + r] += a[g] * first;
                UNROLL for (int g = 0; g < group; g++) sums[g * R + r] += b[g] * second;
            }
        }
        for (int64_t d = 2 * half; d < D; d += W) {
            for (int64_t i = 0; i < share && ahead < end; i++) prefetch(tile->v[ahead++], bytes);
            UNROLL for (int g = 0; g < group; g++) a[g] = load(kind, k[g], d);
            UNROLL for (int r = 0; r < R; r++) {
                vec first = get(q + r * D + d);
                UNROLL for (int g = 0; g < group; g++) sums[g * R + r] += a[g] * first;
            }
        }
        sum_lanes(sums);
        UNROLL for (int i = 0; i < MOST / W; i++) put(out + t * R + i * W, sums[i]);
    }
}

static void cap(float *logits, int64_t count, float softcap) {
    for (int64_t i = 0; i < count; i += W) {
        vec x = get(logits + i); /* divided by softcap before, as scale was */
        ivec negative = x < (vec){0};
        vec e = exp_of(choose(negative, x, -x) * splat(2)), tanh = (1 - e) / (1 + e);
        put(logits + i, choose(negative, -tanh, tanh) * softcap);
    }
}

static void hide(const struct job *job, float *logits, int64_t key, int64_t count, int64_t R, int64_t row) {
    for (int64_t r = 0; r < at_most(R, job->rows - row); r++) {
        int64_t low = low_of(job, row + r), high = high_of(job, row + r);
        for (int64_t t = 0; t < count; t++)
            if (key + t < low || key + t >= high) logits[t * R + r] = -INFINITY;
    }
}

static void tell(const struct job *job, const float *logits, const struct tile *tile, int64_t n, int64_t R,
                 int64_t row) {
    for (int64_t r = 0; r < at_most(R, job->rows - row); r++) {
        float *to = job->logits_NMK + (n * job->rows + row + r) * job->keys + tile->key;
        for (int64_t t = 0; t < tile->count; t++) to[t] = logits[t * R + r];
    }
}

/* Put a key in its place among the strongest of a row; of equals the one that came first is the stronger. */
static void rank(float *logits, int64_t *places, float logit, int64_t place) {
    int64_t at = STRONGEST - 1;
    for (; at > 0 && logits[at - 1] < logit; at--) logits[at] = logits[at - 1], places[at] = places[at - 1];
    logits[at] = logit, places[at] = place;
}

/* Rows take turns in the lanes; most vectors have no logit that is above the least of the strongest of its row. Keys
 * are noted by their numbers; `place` says where these are. */
INLINE void note(const int R, const struct job *job, struct work *work, const float *logits, const struct tile *tile,
                 int64_t n, int64_t row) {
    int64_t rows = at_most(R, job->rows - row), count = tile->count * R;
    float *best = work->best_logits + row * STRONGEST, least[W];
    const float *told = job->told + (n * job->rows + row) * STRONGEST;
    for (int64_t i = 0; i < W; i++) {
        int64_t last = (i % R + 1) * STRONGEST - 1;
        least[i] = i % R < rows ? fmaxf(best[last], told[last]) : INFINITY;
    }
    for (int64_t i = 0; i < count; i += W) {
        if (i + W <= count && !any(get(logits + i) > get(least))) continue;
        for (int64_t l = i; l < at_most(i + W, count); l++) {
            if (logits[l] <= least[l - i]) continue;
            int64_t r = l % R;
            rank(best + r * STRONGEST, work->best_places + (row + r) * STRONGEST, logits[l], tile->key + l / R);
            float last = fmaxf(best[(r + 1) * STRONGEST - 1], told[(r + 1) * STRONGEST - 1]);
            for (int64_t lane = r; lane < W; lane += R) least[lane] = last;
        }
    }
}

/* Numbers of keys become their places in the text; where there was no key, 0. */
static void place(const struct job *job, struct work *work, int64_t n) {
    const int64_t *place_X = job->place_NX + n * job->place_row;
    for (int64_t i = 0; i < job->rows * STRONGEST; i++) {
        int64_t key = work->best_places[i];
        work->best_places[i] = work->best_logits[i] == -INFINITY ? 0 : place_X[key / job->length] + key % job->length;
    }
}

/* Logits of R rows become weights below the largest so far; `decay` is what earlier sums are worth then. These have
 * the row r in every lane i where i % R is r, as the logits have; the total is that of all those lanes. */
static void weigh(struct work *work, float *logits, int64_t count, int64_t R, int64_t row) {
    float *state = work->state + row / R * 3 * W;
    int64_t whole = padded(count * R, W);
    for (int64_t i = count * R; i < whole; i++) logits[i] = -INFINITY;
    vec before = get(state + TOP * W), top = before, total = {0};
    for (int64_t i = 0; i < whole; i += W) top = larger(get(logits + i), top);
    top = largest_of_rows(top, R);
    for (int64_t i = 0; i < whole; i += W) {
        vec weight = exp_of(get(logits + i) - top);
        total += weight;
        put(logits + i, weight);
    }
    vec decay = exp_of(before - top);
    put(state + TOP * W, top);
    put(state + DECAY * W, decay);
    put(state + TOTAL * W, get(state + TOTAL * W) * decay + total);
}

/* ---- values ---- */

INLINE void add_columns(enum kind kind, const int R, const int columns, struct work *work, const struct tile *tile,
                        const struct tile *next, const float *weights, int64_t row, int64_t e) {
    vec sums[4][BLOCK_WIDTH];
    int64_t bytes = row + e == 0 ? work->k_bytes : 0;
    float *to = work->sums + row * work->E + e;
    const float *decay = work->state + (row / R * 3 + DECAY) * W;
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int c = 0; c < columns; c++)
            sums[r][c] = get(to + r * work->E + c * W) * decay[r];
    for (int64_t t = 0; t < tile->count; t++) {
        vec v[BLOCK_WIDTH];
        prefetch(next->k[t], bytes);
        UNROLL for (int c = 0; c < columns; c++) v[c] = load(kind, tile->v[t], e + c * W);
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int c = 0; c < columns; c++) sums[r][c] += v[c] * weights[t * R + r];
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int c = 0; c < columns; c++) put(to + r * work->E + c * W, sums[r][c]);
}

INLINE void add_values(enum kind kind, const int R, struct work *work, const struct tile *tile,
                       const struct tile *next, const float *weights, int64_t row) {
    int64_t e = 0;
    for (; e + BLOCK_WIDTH * W <= work->E; e += BLOCK_WIDTH * W)
        add_columns(kind, R, BLOCK_WIDTH, work, tile, next, weights, row, e);
    for (; e < work->E; e += W) add_columns(kind, R, 1, work, tile, next, weights, row, e);
}

/* ---- one kernel for each kind of number and block of rows ---- */

typedef void dots_fn(const struct job *, const struct work *, const struct tile *, const float *, float *);
typedef void values_fn(struct work *, const struct tile *, const struct tile *, const float *, int64_t);

#define KERNELS(kind, R) \
    static void dots_##kind##_##R(const struct job *job, const struct work *work, const struct tile *tile, \
                                  const float *q, float *out) { \
        if (work->turning == WITHIN && !work->copies_k) dots(kind, R, 1, job, work, tile, q, out); \
        else dots(kind, R, 0, job, work, tile, q, out); \
    } \
    static void values_##kind##_##R(struct work *work, const struct tile *tile, const struct tile *next, \
                                    const float *weights, int64_t row) { \
        add_values(kind, R, work, tile, next, weights, row); \
    }
#define KERNELS_OF(kind) KERNELS(kind, 1) KERNELS(kind, 2) KERNELS(kind, 4)
KERNELS_OF(FLOAT32)
KERNELS_OF(BFLOAT16)
KERNELS_OF(FLOAT16)

#define TABLE(name) { \
    {name##_FLOAT32_1, name##_FLOAT32_2, name##_FLOAT32_4}, \
    {name##_BFLOAT16_1, name##_BFLOAT16_2, name##_BFLOAT16_4}, \
    {name##_FLOAT16_1, name##_FLOAT16_2, name##_FLOAT16_4}}
static dots_fn *const DOTS[3][3] = TABLE(dots);
static values_fn *const VALUES[3][3] = TABLE(values);

/* ---- tasks ---- */

struct bounds {
    int64_t low, high, all_low, all_high; /* keys that some row sees, and that all rows see */
};

static struct bounds bounds_of(const struct job *job, int64_t n) {
    struct bounds b = {job->keys, 0, 0, job->keys};
    for (int64_t m = 0; m < job->rows; m++) {
        int64_t low = low_of(job, m), high = high_of(job, m);
        b.low = at_most(b.low, low), b.all_low = at_least(b.all_low, low);
        b.high = at_least(b.high, high), b.all_high = at_most(b.all_high, high);
    }
    if (job->skip_N) b.low = at_least(b.low, job->skip_N[n] * job->length);
    return b;
}

static void do_tile(const struct job *job, struct work *work, struct tile *tile, const struct tile *next, int64_t n,
                    int hides) {
    int64_t R = work->block_rows, rows = R == 4 ? 2 : R - 1;
    if (work->copies_k) copy_keys(job, work, tile, n);
    if (work->copies_v && !job->keys_only) copy_values(job, work, tile);
    for (int64_t row = 0; row < work->padded_rows; row += R) {
        float *weights = work->weights;
        DOTS[work->k_kind][rows](job, work, tile, work->q + row * work->D, weights);
        if (job->softcap > 0) cap(weights, tile->count * R, job->softcap);
        if (hides) hide(job, weights, tile->key, tile->count, R, row);
        if (job->logits_NMK) tell(job, weights, tile, n, R, row);
        if (job->best_logits) {
            if (R == 1) note(1, job, work, weights, tile, n, row);
            else if (R == 2) note(2, job, work, weights, tile, n, row);
            else note(4, job, work, weights, tile, n, row);
        }
        if (job->keys_only) continue;
        weigh(work, weights, tile->count, R, row);
        VALUES[work->v_kind][rows](work, tile, next, weights, row);
    }
}

static void clear(struct work *work) {
    memset(work->sums, 0, (size_t)(work->padded_rows * work->E) * sizeof(float));
    for (int64_t block = 0; block < work->padded_rows / work->block_rows; block++) {
        put(work->state + (3 * block + TOP) * W, splat(-FLT_MAX));
        put(work->state + (3 * block + TOTAL) * W, (vec){0});
    }
}

static void do_task(const struct job *job, struct work *work, int64_t task) {
    int64_t n = task / job->pieces, begin = task % job->pieces * job->piece, E = job->value_width;
    struct bounds b = bounds_of(job, n);
    int64_t key = at_least(begin, b.low), end = at_most(at_most(begin + job->piece, job->keys), b.high), run = -1;
    clear(work);
    if (job->best_logits) {
        work->best_logits = job->best_logits + task * job->rows * STRONGEST;
        work->best_places = job->best_places + task * job->rows * STRONGEST;
        for (int64_t i = 0; i < job->rows * STRONGEST; i++) work->best_logits[i] = -INFINITY, work->best_places[i] = 0;
    }
    fill(job, work, n, key, end, work->tiles);
    for (int at = 0; work->tiles[at].count; at ^= 1) {
        struct tile *tile = work->tiles + at, *next = work->tiles + !at;
        fill(job, work, n, tile->key + tile->count, end, next);
        if (run < 0 || ((work->turning == BY_QUERIES || work->turning == WITHIN) && run != tile->run))
            ready_queries(job, work, n, run = tile->run);
        do_tile(job, work, tile, next->count ? next : tile, n, tile->key < b.all_low || tile->key + tile->count > b.all_high);
    }
    if (job->best_logits) place(job, work, n);
    for (int64_t m = 0; m < job->rows; m++) {
        float *part = job->parts + (task * job->rows + m) * (E + 2);
        memcpy(part, work->sums + m * work->E, (size_t)E * sizeof(float));
        const float *state = work->state + m / work->block_rows * 3 * W;
        part[E] = state[TOP * W + m % work->block_rows], part[E + 1] = 0;
        for (int64_t i = m % work->block_rows; i < W; i += work->block_rows) part[E + 1] += state[TOTAL * W + i];
    }
}

static enum turning turning_of(const struct job *job) {
    if (!job->turned) return AS_STORED;
    if (job->length < SHORT) return EACH;
    return job->within_cos ? WITHIN : BY_QUERIES;
}

/* Room for so many floats, on a line of the cache; a first call with `*at` 0 counts what is needed. */
static float *room(char **at, int64_t floats) {
    float *here = (float *)*at;
    *at += padded(floats * (int64_t)sizeof(float), LINE);
    return here;
}

static char *share_out(struct work *w, char *at) {
    w->q = room(&at, w->padded_rows * w->D);
    w->k = room(&at, w->copies_k * TILE * w->D);
    w->v = room(&at, w->copies_v * TILE * w->E);
    w->sums = room(&at, w->padded_rows * w->E);
    w->weights = room(&at, TILE * w->block_rows + ACCUMULATORS);
    w->state = room(&at, w->padded_rows / w->block_rows * 3 * W);
    return at;
}

static struct work *new_work(const struct job *job) {
    struct work w = {.D = padded(job->key_width, W), .E = padded(job->value_width, W), .turning = turning_of(job)};
    w.block_rows = job->rows == 1 ? 1 : job->rows == 2 ? 2 : 4;
    w.padded_rows = padded(job->rows, w.block_rows);
    w.k_bytes = job->key_width * size_of(job->kind), w.v_bytes = job->value_width * size_of(job->kind);
    w.tile_keys = at_least(16, at_most(TILE, TILE_BYTES / w.k_bytes / 16 * 16));
    w.copies_k = w.D != job->key_width || w.turning == EACH ||
                 (w.turning == WITHIN && (job->interleaved || job->frequencies % W));
    w.copies_v = w.E != job->value_width;
    w.k_kind = w.copies_k ? FLOAT32 : job->kind;
    w.v_kind = w.copies_v ? FLOAT32 : job->kind;
    size_t head = (size_t)padded(sizeof w, LINE), size = head + (size_t)share_out(&w, NULL);
    struct work *work = aligned_alloc(LINE, size);
    if (!work) return NULL;
    memset(work, 0, size);
    *work = w;
    share_out(work, (char *)work + head);
    return work;
}

static void do_tasks(void *data) {
    struct job *job = data;
    struct work *work = new_work(job);
    if (!work) {
        __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    int64_t tasks = job->searches * job->pieces, task;
    while ((task = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED)) < tasks) do_task(job, work, task);
    free(work);
}

/* Join the pieces of one row; one that sees nothing has output 0 and log-sum-exp -inf. */
static void join(const struct job *job, int64_t n, int64_t m) {
    int64_t E = job->value_width;
    float top = -FLT_MAX, total = 0, *out = job->out_NME + (n * job->rows + m) * E;
    for (int64_t e = 0; e < E; e++) out[e] = 0;
    for (int64_t piece = 0; piece < job->pieces; piece++) {
        const float *part = job->parts + ((n * job->pieces + piece) * job->rows + m) * (E + 2);
        float most = part[E] > top ? part[E] : top, old = expf(top - most), share = expf(part[E] - most);
        for (int64_t e = 0; e < E; e++) out[e] = out[e] * old + part[e] * share;
        total = total * old + part[E + 1] * share, top = most;
    }
    for (int64_t e = 0; e < E && total > 0; e++) out[e] /= total;
    job->lse_NM[n * job->rows + m] = total == 0 ? -INFINITY : top + logf(total);
}

/* Results that the caller did not ask for but that lead to those that it did. */
static char *share_out_results(struct job *job, char *at) {
    int64_t rows = job->searches * job->rows, tasks = job->pieces * rows, best = job->place_NX ? tasks * STRONGEST : 0;
    job->parts = room(&at, tasks * (job->value_width + 2));
    if (!job->out_NME) job->out_NME = room(&at, rows * job->value_width);
    if (!job->lse_NM) job->lse_NM = room(&at, rows);
    if (job->mass_NK) job->logits_NMK = room(&at, rows * job->keys);
    job->best_logits = best ? room(&at, best) : NULL;
    job->best_places = best ? (int64_t *)room(&at, 2 * best) : NULL;
    return at;
}

static void run(struct job *job) {
    struct job counted = *job;
    job->made = aligned_alloc(LINE, (size_t)share_out_results(&counted, NULL));
    job->failed = !job->made;
    if (job->failed) return;
    share_out_results(job, job->made);
    for (int64_t i = 0; job->logits_NMK && i < job->searches * job->rows * job->keys; i++)
        job->logits_NMK[i] = -INFINITY;
    if (job->team && job->threads > 1) job->team(do_tasks, job, (unsigned)job->threads, 0);
    else do_tasks(job);
    for (int64_t n = 0; n < (job->keys_only ? 0 : job->searches); n++)
        for (int64_t m = 0; m < job->rows; m++) join(job, n, m);
}

/* Returns 0, or 1 where memory was short. */
int farspan_attend(struct job *job) {
    run(job);
    free(job->made);
    return (int)job->failed;
}

/* The softmax over all jobs grows by one; row i of a job, its searches one after the other, is head i. */
static void add_job(const struct job *job, int64_t heads, float *out_HE, float *lse_H) {
    int64_t E = job->value_width;
    for (int64_t h = 0; h < heads; h++) {
        float own = job->lse_NM[h], before = lse_H[h];
        if (own == -INFINITY) continue;
        float top = own > before ? own : before, whole = top + logf(expf(own - top) + expf(before - top));
        float kept = expf(before - whole), added = expf(own - whole);
        for (int64_t e = 0; e < E; e++) out_HE[h * E + e] = out_HE[h * E + e] * kept + job->out_NME[h * E + e] * added;
        lse_H[h] = whole;
    }
}

static void add_best(const struct job *job, float *best_logits, int64_t *best_places) {
    for (int64_t i = 0; i < job->searches * job->pieces * job->rows * STRONGEST; i++) {
        int64_t row = i / STRONGEST, n = row / job->rows / job->pieces, h = n * job->rows + row % job->rows;
        if (job->best_logits[i] > best_logits[(h + 1) * STRONGEST - 1])
            rank(best_logits + h * STRONGEST, best_places + h * STRONGEST, job->best_logits[i], job->best_places[i]);
    }
}

static void add_mass(const struct job *job, const float *lse_H) {
    for (int64_t h = 0; h < job->searches * job->rows; h++) {
        if (lse_H[h] == -INFINITY) continue;
        float *mass = job->mass_NK + h / job->rows * job->mass_row;
        const float *logits = job->logits_NMK + h * job->keys;
        int64_t key = 0;
        for (; key + W <= job->keys; key += W) put(mass + key, get(mass + key) + exp_of(get(logits + key) - lse_H[h]));
        for (; key < job->keys; key++) mass[key] += expf(logits[key] - lse_H[h]);
    }
}

/* What one token meets in several jobs, as one softmax. `sinks_H` are logits without a value. `best_logits` and
 * `best_places` `[H, STRONGEST]`, if they are wanted, are those of all jobs. Returns 0, or 1 where memory was short. */
int farspan_attend_token(struct job *jobs, int64_t count, const float *sinks_H, float *out_HE, float *lse_H,
                         float *best_logits, int64_t *best_places) {
    int64_t heads = jobs->searches * jobs->rows, failed = 0;
    memset(out_HE, 0, (size_t)(heads * jobs->value_width) * sizeof(float));
    for (int64_t h = 0; h < heads; h++) lse_H[h] = sinks_H ? sinks_H[h] : -INFINITY;
    for (int64_t i = 0; best_logits && i < heads * STRONGEST; i++) best_logits[i] = -INFINITY, best_places[i] = 0;
    for (struct job *job = jobs; job < jobs + count; job++) {
        job->told = best_logits;
        run(job);
        failed = job->failed;
        if (failed) break;
        add_job(job, heads, out_HE, lse_H);
        if (best_logits) add_best(job, best_logits, best_places);
    }
    for (struct job *job = jobs; job < jobs + count; job++) {
        if (job->mass_NK && !failed) add_mass(job, lse_H);
        free(job->made);
    }
    return (int)failed;
}
