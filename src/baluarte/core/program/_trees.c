/* The sealed program's kernel: scores of tree ensembles. */
#include "_kernel.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRIP 16       /* rows side by side */
#define ROWS_A_STRIP 4 /* from so many on, strips beat rows one by one */

/* LightGBM, include/LightGBM/meta.h: const double kZeroThreshold = 1e-35f */
static const double ZERO_THRESHOLD = (double)1e-35f;

/* ---- decisions ------------------------------------------------------------------------------ */

double cut_of(double t, int strict) {
    const double to_infinity = 0x1.ffffffp127; /* from here on x rounds to infinity */
    float last;                                /* the largest float32 that goes left */
    if (isinf(t) && t > 0 && !strict) return t;
    if (t > (double)FLT_MAX) {
        last = FLT_MAX;
    } else if (t < -(double)FLT_MAX) {
        return -to_infinity;
    } else {
        last = (float)t;
        if ((double)last > t || (strict && (double)last == t)) {
            if (last == -FLT_MAX) return -to_infinity;
            last = nextafterf(last, -FLT_MAX);
        }
    }
    double next = last == FLT_MAX ? 0x1p128 : (double)nextafterf(last, FLT_MAX);
    double middle = ((double)last + next) / 2.0;
    uint32_t pattern;
    memcpy(&pattern, &last, sizeof pattern);
    return pattern & 1u ? nextafter(middle, -DBL_MAX) : middle; /* ties go to even */
}

static int in_set(const Node *node, const uint32_t *words, double x) {
    if (!(x > -1.0) || !(x < (double)node->u.set.n_bits)) return 0;
    uint32_t code = (uint32_t)(int64_t)x; /* -0.5 is code 0 */
    if (code >= node->u.set.n_bits) return 0;
    return (words[node->u.set.start + (code >> 5)] >> (code & 31u)) & 1u;
}

int goes_left_special(const Node *node, const uint32_t *words, double x) {
    int nan_left = (node->bits & NAN_LEFT) != 0;
    if (node->bits & ZERO) {
        if (x != x || (x >= -ZERO_THRESHOLD && x <= ZERO_THRESHOLD)) return nan_left;
        return x <= node->u.cut;
    }
    if (!(node->bits & FLOAT_SET)) return in_set(node, words, x);
    if (x != x) return nan_left;
    if (x > 1e30 || x < -1e30) return 1; /* no category: left, as xgboost has it */
    float rounded = (float)x;
    return rounded < 0.0f || !in_set(node, words, (double)rounded);
}

/* ---- scores --------------------------------------------------------------------------------- */

/* One row through LANES trees at once: their memory accesses overlap. A leaf steps onto itself. */
INLINE void walk(const Trees *trees, uint32_t *restrict at, const double *restrict row) {
    uint32_t all;
    do {
        all = LEAF;
        for (int k = 0; k < LANES; k++) {
            const Node *node = trees->packed + at[k];
            all &= node->bits;
            at[k] = node->child +
                    (uint32_t)!goes_left(node, trees->words, row[node->bits & COLUMN]);
        }
    } while (!all);
}

INLINE int64_t walk_one(const Trees *trees, uint32_t at, const double *row) {
    const Node *node = trees->packed + at;
    while (!(node->bits & LEAF)) {
        double x = row[node->bits & COLUMN];
        at = node->child + (uint32_t)!goes_left(node, trees->words, x);
        node = trees->packed + at;
    }
    return trees->value[at];
}

/* Trees of at most 64 leaves over strips of rows: a bit a leaf, from left to right; every node that
 * a row goes right at clears the leaves to its left; the lowest bit that stays is the row's leaf.
 * No branch and no address depends on the row. Source: Lucchese et al., QuickScorer, SIGIR 2015. */
typedef double Doubles __attribute__((vector_size(32)));
typedef int64_t Masks __attribute__((vector_size(32)));

typedef double Loaded __attribute__((vector_size(32), aligned(8), may_alias));

INLINE void small_of_strip(const Trees *trees, const Small *small, const double *restrict strip,
                           int64_t *restrict sums) {
    Masks stay[STRIP / 4];
    int64_t leaves[STRIP];
    const Test *test = trees->tests + small->first, *end = trees->tests + small->nan_left;
    for (int k = 0; k < STRIP / 4; k++) stay[k] = (Masks){-1, -1, -1, -1};
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        Doubles cut = {test->cut, test->cut, test->cut, test->cut};
        Masks keep = {test->keep, test->keep, test->keep, test->keep};
        for (int k = 0; k < STRIP / 4; k++) stay[k] &= (*(const Loaded *)(x + 4 * k) <= cut) | keep;
    }
    end = trees->tests + small->special;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        Doubles cut = {test->cut, test->cut, test->cut, test->cut};
        Masks keep = {test->keep, test->keep, test->keep, test->keep};
        for (int k = 0; k < STRIP / 4; k++) stay[k] &= ~(*(const Loaded *)(x + 4 * k) > cut) | keep;
    }
    memcpy(leaves, stay, sizeof leaves);
    end = trees->tests + small->end;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        const Node *node = trees->node + test->node;
        for (int k = 0; k < STRIP; k++)
            leaves[k] &= -(int64_t)goes_left_special(node, trees->words, x[k]) | test->keep;
    }
    for (int k = 0; k < STRIP; k++)
        sums[k] += trees->leaf[small->leaf + (uint32_t)__builtin_ctzll((uint64_t)leaves[k])];
}

INLINE void small_trees(const Trees *trees, const double *strips, size_t n_strips, size_t width,
                        int64_t *sums) {
    for (uint32_t k = 0; k < trees->n_small; k++)
        for (size_t s = 0; s < n_strips; s++)
            small_of_strip(trees, trees->small + k, strips + s * width, sums + s * STRIP);
}

typedef void SmallTrees(const Trees *, const double *, size_t, size_t, int64_t *);

static void small_trees_plain(const Trees *trees, const double *strips, size_t n_strips,
                              size_t width, int64_t *sums) {
    small_trees(trees, strips, n_strips, width, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void small_trees_wide(const Trees *trees,
                                                             const double *strips,
                                                             size_t n_strips, size_t width,
                                                             int64_t *sums) {
    small_trees(trees, strips, n_strips, width, sums);
}

static SmallTrees *small_trees_here(void) {
    return __builtin_cpu_supports("avx2") ? small_trees_wide : small_trees_plain;
}
#else
static SmallTrees *small_trees_here(void) {
    return small_trees_plain;
}
#endif

/* Columns of a few rows side by side; rows that are not there are zeros. */
static void fill_strips(const Trees *trees, const double *X, size_t d, size_t n, double *strips) {
    for (size_t start = 0; start < n; start += STRIP) {
        size_t rows = n - start < STRIP ? n - start : STRIP;
        for (uint32_t c = 0; c < trees->n_columns; c++) {
            const double *from = X + start * d + trees->columns[c];
            for (size_t k = 0; k < STRIP; k++) strips[k] = k < rows ? from[k * d] : 0.0;
            strips += STRIP;
        }
    }
}

static int64_t trees_of_row(const Trees *trees, const double *row) {
    uint32_t at[LANES];
    int64_t sum = 0;
    uint32_t tree = 0;
    for (; tree + LANES <= trees->n_trees; tree += LANES) {
        memcpy(at, trees->roots + tree, sizeof at);
        walk(trees, at, row);
        for (int k = 0; k < LANES; k++) sum += trees->value[at[k]];
    }
    for (; tree < trees->n_trees; tree++) sum += walk_one(trees, trees->roots[tree], row);
    return sum;
}

/* One level of the tree after the other, over the rows that have not reached a leaf: no branch
 * depends on where a row goes, and the rows' memory accesses overlap. */
static void tree_of_rows(const Trees *trees, uint32_t root, const double *restrict X, size_t d,
                         uint32_t n, int64_t *restrict sums) {
    uint32_t at[BLOCK];
    uint32_t walking[BLOCK];
    const Node *restrict nodes = trees->packed;
    const uint32_t *restrict words = trees->words;
    const Node top = nodes[root];
    if (top.bits & LEAF) {
        for (uint32_t i = 0; i < n; i++) sums[i] += trees->value[root];
        return;
    }
    uint32_t left = 0;
    const double *column = X + (top.bits & COLUMN);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t right = (uint32_t)!goes_left(&top, words, column[i * d]);
        at[i] = top.child + right;
        walking[left] = i;
        left += 1u ^ ((top.bits >> (ENDS_SHIFT + right)) & 1u);
    }
    while (left) {
        uint32_t still = 0;
        for (uint32_t k = 0; k < left; k++) {
            uint32_t i = walking[k];
            const Node *node = nodes + at[i];
            double x = X[i * d + (node->bits & COLUMN)];
            uint32_t right = (uint32_t)!goes_left(node, words, x);
            at[i] = node->child + right;
            walking[still] = i;
            still += 1u ^ ((node->bits >> (ENDS_SHIFT + right)) & 1u);
        }
        left = still;
    }
    for (uint32_t i = 0; i < n; i++) sums[i] += trees->value[at[i]];
}

/* Small trees over strips; false where there is no memory for them. */
static int score_small(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums) {
    enum { AT_ONCE = 4 }; /* strips: they stay in the cache while the trees pass */
    double room_here[AT_ONCE * STRIP * 64];
    int64_t found[AT_ONCE * STRIP];
    size_t width = (size_t)trees->n_columns * STRIP;
    double *strips = room_here, *more = NULL;
    SmallTrees *score_strips = small_trees_here();
    if (trees->n_columns > 64) {
        strips = more = malloc(AT_ONCE * width * sizeof(double));
        if (!more) return 0;
    }
    for (size_t i = 0; i < n; i += AT_ONCE * STRIP) {
        size_t rows = n - i < AT_ONCE * STRIP ? n - i : AT_ONCE * STRIP;
        memset(found, 0, sizeof found);
        fill_strips(trees, X + i * d, d, rows, strips);
        score_strips(trees, strips, (rows + STRIP - 1) / STRIP, width, found);
        for (size_t k = 0; k < rows; k++) sums[i + k] += found[k];
    }
    free(more);
    return 1;
}

void score_trees(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums) {
    const uint32_t *roots = trees->roots;
    uint32_t first = 0;
    if (n >= ROWS_A_STRIP) {
        first = trees->n_small && score_small(trees, X, d, n, sums) ? trees->n_small : 0;
        for (uint32_t tree = first; tree < trees->n_trees; tree++)
            tree_of_rows(trees, roots[tree], X, d, (uint32_t)n, sums);
        return;
    }
    for (size_t i = 0; i < n; i++) sums[i] += trees_of_row(trees, X + i * d);
}
