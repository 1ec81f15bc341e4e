/* The sealed program's kernel. docs/concepts/program.md specifies every rule; the NumPy evaluator
 * beside this file gives the same bits.
 *
 * prepare() copies checked arrays into a layout of its own and checks again whatever memory safety
 * and termination rest on, so that no program, however it was made, can crash or hang the process.
 * Integer sums have no order, so rows, trees and threads may be taken in any; floating point here
 * is only compared or evaluated in the stated order, never contracted (-ffp-contract=off).
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#if defined(__FAST_MATH__)
#error "the kernel's bits need IEEE-754 arithmetic: build without -ffast-math"
#endif

#define CAPSULE "baluarte.core.program._kernel.program"
#define MAX_DEPTH 1024
#define MAX_FEATURES (1 << 20)
#define MAX_NODES (1u << 26)
#define MAX_SUM (1LL << 60)
#define MAX_SCORE 9007199254740991LL /* 2**53 - 1 */
#define MAX_THREADS 256
#define BLOCK 1024        /* rows at most in a block */
#define LANES 8           /* trees in flight for one row */
#define STRIP 16          /* rows side by side */
#define SMALL_LEAVES 64    /* a bit a leaf */
#define ROWS_A_STRIP 4    /* from so many on, strips beat rows one by one */
#define ROWS_A_THREAD 64  /* fewer are not worth a thread */
#define ROWS_WITH_GIL 8   /* so few are done before another thread could take over */

#define INLINE static inline __attribute__((always_inline))

/* Flags of a stored node: model.py. */
enum { MISSING_LEFT = 1, MISSING_ZERO = 2, MISSING_NAN = 4, CATEGORICAL = 8 };
enum { LIGHTGBM = 0, SKLEARN = 1, XGBOOST = 2 };

/* Flags of a packed node, above the column. */
#define COLUMN 0x00FFFFFFu
#define NAN_LEFT 0x01000000u
#define LEAF 0x02000000u
#define ZERO 0x04000000u /* |x| <= 1e-35f is missing */
#define SET 0x08000000u  /* membership in a set decides */
#define FLOAT_SET 0x10000000u /* xgboost's sets: x as float32, members go right */
#define SPECIAL (ZERO | SET)
#define ENDS_SHIFT 29 /* the left child is a leaf; the next bit: the right one */

/* LightGBM, include/LightGBM/meta.h: const double kZeroThreshold = 1e-35f */
static const double ZERO_THRESHOLD = (double)1e-35f;

typedef struct {
    union {
        double cut; /* x <= cut goes left, whatever the rule: see cut_of */
        struct {
            uint32_t start, n_bits;
        } set;
    } u;
    uint32_t child; /* packed: left child, the right one follows; a leaf points to itself */
    uint32_t bits;  /* column and flags */
} Node;

/* Trees of at most 64 leaves, for strips of rows: see small_of_strip. */
typedef struct {
    double cut;
    int64_t keep;    /* leaves that stay where a row goes right */
    uint32_t column; /* in units of a strip */
    uint32_t node;   /* in canonical order, for special nodes */
} Test;

typedef struct {
    uint32_t first, nan_left, special, end; /* tests: NaN goes right, NaN goes left, special */
    uint32_t leaf;                          /* the first */
} Small;

typedef struct {
    uint32_t n_nodes, n_leaves, n_trees;
    uint32_t *words; /* category sets */
    /* packed for scores */
    Node *packed;
    int64_t *value;  /* of packed leaves */
    uint32_t *roots; /* packed; small trees first */
    Test *tests;
    Small *small;
    uint32_t n_small;
    uint32_t *columns; /* that the tests read, ascending */
    uint32_t n_columns;
    size_t packed_bytes;
    /* in canonical order, for reasons */
    Node *node;
    int32_t *left, *right;
    int64_t *leaf;
    uint32_t *first; /* (n_trees + 1,) first node of each tree */
    /* reasons; NULL until plan() */
    int64_t *before;
    double *share, *merged;
    uint32_t *order; /* (n_trees,) quadrature nodes */
    size_t *table_at;
    double *table;
} Trees;

typedef struct {
    uint32_t n_numeric, n_tables;
    int32_t *column, *table_column, *table_start, *cut_start;
    double *center, *scale, *low, *high, *weight, *cut;
    int64_t *missing, *mean, *table_value, *table_missing, *table_other, *table_mean;
} Linear;

typedef struct {
    int is_trees;
    Trees trees;
    Linear linear;
} Part;

typedef struct {
    size_t n_features;
    int64_t base;
    size_t n_parts;
    Part *parts;
    size_t rows_a_block;
    /* reasons */
    int planned;
    int64_t reason_base;
    uint32_t max_order;
    uint32_t max_tree_nodes;
    size_t max_tree_work;
    size_t n_used;
    uint32_t *used;
    double *t, *u, *w; /* quadrature of order q starts at q(q - 1)/2 */
} Program;

/* ---- floating-point environment ------------------------------------------------------------ */

typedef struct {
    fenv_t saved;
    int changed;
} Environment;

static int environment_is_default(void) {
#if defined(__SSE2__)
    /* exceptions masked, round to nearest, neither flush to zero nor denormals are zero */
    return (_mm_getcsr() & 0xFFC0u) == 0x1F80u;
#else
    volatile double tiny = DBL_MIN;
    volatile double half = tiny * 0.5;
    return fegetround() == FE_TONEAREST && half != 0.0 && half * 2.0 == tiny;
#endif
}

/* A foreign library may have changed rounding or flushed subnormals: ours for the call. */
static int enter(Environment *environment) {
    environment->changed = 0;
    if (environment_is_default()) return 0;
    if (fegetenv(&environment->saved) || fesetenv(FE_DFL_ENV)) return -1;
    environment->changed = 1;
    return environment_is_default() ? 0 : -1;
}

static void leave(const Environment *environment) {
    if (environment->changed) fesetenv(&environment->saved);
}

/* ---- decisions ------------------------------------------------------------------------------ */

/* The largest float64 that goes left where x is first rounded to float32 and then compared with
 * t by <= (or by <): rounding is monotone, so `x <= cut_of(t)` decides the same for every x. */
static double cut_of(double t, int strict) {
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

INLINE int goes_left_plain(const Node *node, double x) {
    return (x <= node->u.cut) | ((x != x) & (int)((node->bits & NAN_LEFT) != 0));
}

static int in_set(const Node *node, const uint32_t *words, double x) {
    if (!(x > -1.0) || !(x < (double)node->u.set.n_bits)) return 0;
    uint32_t code = (uint32_t)(int64_t)x; /* -0.5 is code 0 */
    if (code >= node->u.set.n_bits) return 0;
    return (words[node->u.set.start + (code >> 5)] >> (code & 31u)) & 1u;
}

static int goes_left_special(const Node *node, const uint32_t *words, double x) {
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

INLINE int goes_left(const Node *node, const uint32_t *words, double x) {
    if (node->bits & SPECIAL) return goes_left_special(node, words, x);
    return goes_left_plain(node, x);
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

static void score_trees(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums) {
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

INLINE int64_t numeric_term(const Linear *linear, uint32_t m, double x) {
    if (x != x) return linear->missing[m];
    if (x < linear->low[m]) x = linear->low[m];
    if (x > linear->high[m]) x = linear->high[m];
    return (int64_t)rint(((x - linear->center[m]) / linear->scale[m]) * linear->weight[m]);
}

INLINE int64_t table_term(const Linear *linear, uint32_t k, double x) {
    if (x != x) return linear->table_missing[k];
    int32_t start = linear->table_start[k], n_values = linear->table_start[k + 1] - start;
    int32_t low = linear->cut_start[k], high = linear->cut_start[k + 1];
    if (low < high) { /* the number of cuts <= x */
        int32_t first = low;
        while (low < high) {
            int32_t middle = low + (high - low) / 2;
            if (linear->cut[middle] <= x)
                low = middle + 1;
            else
                high = middle;
        }
        return linear->table_value[start + (low - first)];
    }
    if (!(x >= 0.0) || !(x < (double)n_values)) return linear->table_other[k];
    int32_t code = (int32_t)x;
    return (double)code == x ? linear->table_value[start + code] : linear->table_other[k];
}

static int64_t score_linear(const Linear *linear, const double *row) {
    int64_t sum = 0;
    for (uint32_t m = 0; m < linear->n_numeric; m++)
        sum += numeric_term(linear, m, row[linear->column[m]]);
    for (uint32_t k = 0; k < linear->n_tables; k++)
        sum += table_term(linear, k, row[linear->table_column[k]]);
    return sum;
}

INLINE int64_t saturate(int64_t score) {
    return score > MAX_SCORE ? MAX_SCORE : score < -MAX_SCORE ? -MAX_SCORE : score;
}

static void score_block(const Program *program, const double *X, size_t n, int64_t *scores) {
    size_t d = program->n_features;
    for (size_t i = 0; i < n; i++) scores[i] = program->base;
    for (size_t p = 0; p < program->n_parts; p++) {
        const Part *part = program->parts + p;
        if (part->is_trees)
            score_trees(&part->trees, X, d, n, scores);
        else
            for (size_t i = 0; i < n; i++) scores[i] += score_linear(&part->linear, X + i * d);
    }
    for (size_t i = 0; i < n; i++) scores[i] = saturate(scores[i]);
}

static int score_rows(const Program *program, const double *X, size_t n, int64_t *scores) {
    size_t block = program->rows_a_block;
    for (size_t i = 0; i < n; i += block)
        score_block(program, X + i * program->n_features, n - i < block ? n - i : block,
                    scores + i);
    return 0;
}

/* ---- reasons -------------------------------------------------------------------------------- */

/* What multiplies the path's product (rate) and what a column earns of the sum below (gain), where
 * the row satisfies the column's earlier splits on the path: all of them and this one (state 1), or
 * not this one (state 0). Where it doesn't satisfy the earlier ones, the rate is the edge's share
 * and the gain is 0. Layout: [side][state][rate q, gain q]. */
INLINE void node_table(const Trees *trees, uint32_t i, const double *restrict t,
                       const double *restrict u, double *restrict out, const int q) {
    int64_t before = trees->before[i];
    double merged_before = before < 0 ? 1.0 : trees->merged[before];
    for (int side = 0; side < 2; side++) {
        double merged = trees->merged[2 * (size_t)i + (size_t)side];
        double *rate = out + side * 4 * q;
        for (int j = 0; j < q; j++) {
            double was = before < 0 ? 1.0 : t[j] + u[j] * merged_before;
            double had = (1.0 - merged_before) / was;
            double now = t[j] + u[j] * merged;
            rate[j] = (u[j] * merged) / was;
            rate[q + j] = (-1.0 / u[j]) - had;
            rate[2 * q + j] = now / was;
            rate[3 * q + j] = (1.0 - merged) / now - had;
        }
    }
}

INLINE const double *table_of_node(const Trees *trees, const double *table, uint32_t node,
                                   uint32_t place, const double *t, const double *u,
                                   double *room, const int q) {
    if (table) return table + (size_t)place * 8 * (size_t)q;
    node_table(trees, node, t, u, room, q);
    return room;
}

typedef struct {
    double *product; /* (nodes of a tree, q) */
    uint8_t *holds;  /* (nodes of a tree, 2) whether the row satisfies the merged split */
    double *table;   /* of one tree, or of one node */
    size_t table_room;
    double *phi;     /* (rows, columns, max_order) */
    int64_t *scores; /* (rows,) */
    double *fraction; /* (columns,) */
    uint32_t *rank;  /* (columns,) */
    size_t rows;
} Scratch;

/* Whether the row satisfies the earlier splits of node i's column on its path. */
INLINE int holds_before(const Trees *trees, const uint8_t *holds, uint32_t first, uint32_t i) {
    int64_t before = trees->before[first + i];
    return before < 0 ? 1 : holds[before - 2 * (int64_t)first];
}

/* Products of the paths, from the root down. */
INLINE void go_down(const Trees *trees, uint32_t first, uint32_t n, const double *row,
                    const double *table, const double *t, const double *u,
                    const Scratch *scratch, const int q) {
    double *restrict product = scratch->product;
    uint8_t *restrict holds = scratch->holds;
    for (uint32_t i = 0; i < n; i++) {
        const Node *node = trees->node + first + i;
        int held = holds_before(trees, holds, first, i);
        int left = goes_left(node, trees->words, row[node->bits & COLUMN]);
        int32_t children[2] = {trees->left[first + i], trees->right[first + i]};
        const double *from = product + (size_t)i * (size_t)q;
        const double *mine =
            held ? table_of_node(trees, table, first + i, i, t, u, scratch->table, q) : NULL;
        holds[2 * i] = (uint8_t)(held & left);
        holds[2 * i + 1] = (uint8_t)(held & !left);
        for (int side = 0; side < 2; side++) {
            if (children[side] < 0) continue;
            double *to = product + ((uint32_t)children[side] - first) * (size_t)q;
            if (held) {
                const double *rate = mine + (2 * side + holds[2 * i + (uint32_t)side]) * 2 * q;
                for (int j = 0; j < q; j++) to[j] = from[j] * rate[j];
            } else {
                double share = trees->share[2 * (size_t)(first + i) + (size_t)side];
                for (int j = 0; j < q; j++) to[j] = from[j] * share;
            }
        }
    }
}

/* Sums of the leaves below, from the leaves up, and what each node's column earns of them. */
INLINE void come_up(const Trees *trees, uint32_t first, uint32_t n, const double *table,
                    const double *t, const double *u, double *restrict phi, size_t stride,
                    const Scratch *scratch, const int q) {
    double *restrict product = scratch->product;
    const uint8_t *restrict holds = scratch->holds;
    for (uint32_t i = n; i-- > 0;) {
        const Node *node = trees->node + first + i;
        int32_t left = trees->left[first + i], right = trees->right[first + i];
        double *here = product + (size_t)i * (size_t)q;
        const double *below_left = left < 0 ? here : product + ((uint32_t)left - first) * (size_t)q;
        const double *below_right =
            right < 0 ? here : product + ((uint32_t)right - first) * (size_t)q;
        double value_left = left < 0 ? (double)trees->leaf[~left] : 0.0;
        double value_right = right < 0 ? (double)trees->leaf[~right] : 0.0;
        if (holds_before(trees, holds, first, i)) {
            double *restrict earned = phi + (size_t)(node->bits & COLUMN) * stride;
            const double *mine =
                table_of_node(trees, table, first + i, i, t, u, scratch->table, q);
            const double *rate_left = mine + holds[2 * i] * 2 * q;
            const double *rate_right = mine + (2 + holds[2 * i + 1]) * 2 * q;
            for (int j = 0; j < q; j++) {
                double a = left < 0 ? (here[j] * rate_left[j]) * value_left : below_left[j];
                double b = right < 0 ? (here[j] * rate_right[j]) * value_right : below_right[j];
                earned[j] += a * rate_left[q + j] + b * rate_right[q + j];
                here[j] = a + b;
            }
        } else { /* nothing is earned here: adding zeros would change no bit */
            double share_left = trees->share[2 * (size_t)(first + i)];
            double share_right = trees->share[2 * (size_t)(first + i) + 1];
            for (int j = 0; j < q; j++) {
                double a = left < 0 ? (here[j] * share_left) * value_left : below_left[j];
                double b = right < 0 ? (here[j] * share_right) * value_right : below_right[j];
                here[j] = a + b;
            }
        }
    }
}

INLINE void tree_reasons(const Program *program, const Trees *trees, uint32_t tree,
                         const double *row, const double *table, double *phi,
                         const Scratch *scratch, const int q) {
    uint32_t first = trees->first[tree], n = trees->first[tree + 1] - first;
    size_t points = (size_t)q * (size_t)(q - 1) / 2;
    const double *t = program->t + points, *u = program->u + points;
    memcpy(scratch->product, program->w + points, (size_t)q * sizeof(double));
    go_down(trees, first, n, row, table, t, u, scratch, q);
    come_up(trees, first, n, table, t, u, phi, program->max_order, scratch, q);
}

static void tree_reasons_any(const Program *program, const Trees *trees, uint32_t tree,
                             const double *row, const double *table, double *phi,
                             Scratch *scratch) {
    switch (trees->order[tree]) { /* known orders let the compiler use vectors */
#define ORDER(q) \
    case q: \
        tree_reasons(program, trees, tree, row, table, phi, scratch, q); \
        break;
        ORDER(1)
        ORDER(2)
        ORDER(3)
        ORDER(4)
        ORDER(5)
        ORDER(6)
        ORDER(7)
        ORDER(8)
#undef ORDER
        default:
            tree_reasons(program, trees, tree, row, table, phi, scratch,
                         (int)trees->order[tree]);
    }
}

static void fill_table(const Program *program, const Trees *trees, uint32_t tree, double *table) {
    size_t q = trees->order[tree], quadrature = q * (q - 1) / 2;
    for (uint32_t i = trees->first[tree]; i < trees->first[tree + 1]; i++)
        node_table(trees, i, program->t + quadrature, program->u + quadrature,
                   table + (size_t)(i - trees->first[tree]) * 8 * q, (int)q);
}

static void reasons_of_trees(const Program *program, const Trees *trees, const double *X, size_t n,
                             Scratch *scratch) {
    size_t d = program->n_features, width = d * program->max_order;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        size_t nodes = trees->first[tree + 1] - trees->first[tree];
        if (!nodes) continue;
        const double *table = NULL;
        if (trees->table) {
            table = trees->table + trees->table_at[tree];
        } else if (n > 1 && nodes * 8 * trees->order[tree] <= scratch->table_room) {
            fill_table(program, trees, tree, scratch->table);
            table = scratch->table;
        }
        for (size_t i = 0; i < n; i++)
            tree_reasons_any(program, trees, tree, X + i * d, table, scratch->phi + i * width,
                             scratch);
    }
}

static void reasons_of_linear(const Linear *linear, const double *row, int64_t *phi) {
    for (uint32_t m = 0; m < linear->n_numeric; m++)
        phi[linear->column[m]] +=
            numeric_term(linear, m, row[linear->column[m]]) - linear->mean[m];
    for (uint32_t k = 0; k < linear->n_tables; k++)
        phi[linear->table_column[k]] +=
            table_term(linear, k, row[linear->table_column[k]]) - linear->table_mean[k];
}

/* Heap order: the smaller fraction first, then the larger column. */
static int comes_before(const double *fraction, uint32_t a, uint32_t b) {
    return fraction[a] < fraction[b] || (fraction[a] == fraction[b] && a > b);
}

static void sift(const double *fraction, uint32_t *heap, size_t at, size_t n) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) return;
        if (child + 1 < n && comes_before(fraction, heap[child], heap[child + 1])) child++;
        if (!comes_before(fraction, heap[at], heap[child])) return;
        uint32_t other = heap[at];
        heap[at] = heap[child];
        heap[child] = other;
        at = child;
    }
}

/* Largest remainder: whole parts first, then one unit more to the largest fractions. */
static void apportion(const Program *program, int64_t target, const double *sums, int64_t *phi,
                      Scratch *scratch) {
    size_t used = program->n_used;
    if (!used) return;
    for (size_t k = 0; k < used; k++) {
        uint32_t column = program->used[k];
        double whole = floor(sums[column]);
        if (!(fabs(whole) <= 0x1p62)) whole = 0.0; /* only of a plan that is not this program's */
        scratch->fraction[column] = sums[column] - whole;
        target -= phi[column] + (int64_t)whole;
        phi[column] += (int64_t)whole;
        scratch->rank[k] = column;
    }
    int64_t count = (int64_t)used, each = target / count, rest = target % count;
    if (rest < 0) {
        rest += count;
        each -= 1;
    }
    if (each)
        for (size_t k = 0; k < used; k++) phi[program->used[k]] += each;
    for (size_t k = used / 2; k-- > 0;) sift(scratch->fraction, scratch->rank, k, used);
    for (size_t n = used; rest > 0; rest--) {
        phi[scratch->rank[0]] += 1;
        scratch->rank[0] = scratch->rank[--n];
        sift(scratch->fraction, scratch->rank, 0, n);
    }
}

static void reasons_block(const Program *program, const double *X, size_t n, int64_t *phi,
                          Scratch *scratch) {
    size_t d = program->n_features, q = program->max_order;
    memset(scratch->phi, 0, n * d * q * sizeof(double));
    memset(phi, 0, n * d * sizeof(int64_t));
    score_block(program, X, n, scratch->scores);
    for (size_t p = 0; p < program->n_parts; p++) {
        const Part *part = program->parts + p;
        if (part->is_trees)
            reasons_of_trees(program, &part->trees, X, n, scratch);
        else
            for (size_t i = 0; i < n; i++)
                reasons_of_linear(&part->linear, X + i * d, phi + i * d);
    }
    for (size_t i = 0; i < n; i++) {
        double *sums = scratch->phi + i * d * q;
        for (size_t column = 0; column < d; column++) {
            double sum = 0.0;
            for (size_t j = 0; j < q; j++) sum += sums[column * q + j];
            sums[column] = sum; /* column <= column * q: not read again unless q is 0 or 1 */
        }
        apportion(program, scratch->scores[i] - program->reason_base, sums, phi + i * d, scratch);
    }
}

static void free_scratch(Scratch *scratch) {
    free(scratch->product);
    free(scratch->holds);
    free(scratch->table);
    free(scratch->phi);
    free(scratch->scores);
    free(scratch->fraction);
    free(scratch->rank);
}

static void *room(size_t count, size_t size) {
    return calloc(count ? count : 1, size);
}

static int make_scratch(const Program *program, Scratch *scratch) {
    const size_t cache = 1 << 15; /* doubles of a block of rows' sums */
    size_t d = program->n_features, q = program->max_order, width = d * (q ? q : 1);
    memset(scratch, 0, sizeof *scratch);
    scratch->rows = cache / width;
    if (scratch->rows < 1) scratch->rows = 1;
    if (scratch->rows > 64) scratch->rows = 64;
    scratch->table_room = 1 << 16;
    if (scratch->table_room < 8 * q) scratch->table_room = 8 * q;
    scratch->product = room(program->max_tree_work, sizeof(double));
    scratch->holds = room(program->max_tree_nodes, 2);
    scratch->table = room(scratch->table_room, sizeof(double));
    scratch->phi = room(scratch->rows * width, sizeof(double));
    scratch->scores = room(scratch->rows, sizeof(int64_t));
    scratch->fraction = room(d, sizeof(double));
    scratch->rank = room(d, sizeof(uint32_t));
    if (scratch->product && scratch->holds && scratch->table && scratch->phi && scratch->scores &&
        scratch->fraction && scratch->rank)
        return 0;
    free_scratch(scratch);
    return -1;
}

static int reasons_rows(const Program *program, const double *X, size_t n, int64_t *phi) {
    Scratch scratch;
    if (make_scratch(program, &scratch)) return -1;
    size_t d = program->n_features;
    for (size_t i = 0; i < n; i += scratch.rows)
        reasons_block(program, X + i * d, n - i < scratch.rows ? n - i : scratch.rows,
                      phi + i * d, &scratch);
    free_scratch(&scratch);
    return 0;
}

/* ---- threads -------------------------------------------------------------------------------- */

typedef int Work(const Program *, const double *, size_t, int64_t *);

typedef struct {
    Work *work;
    const Program *program;
    const double *X;
    size_t n;
    int64_t *out;
    int status; /* 0, -1 no memory, -2 the floating-point environment can't be set */
    int started;
    pthread_t thread;
} Job;

static void do_job(Job *job) {
    Environment environment;
    if (enter(&environment)) {
        job->status = -2;
        return;
    }
    job->status = job->work(job->program, job->X, job->n, job->out);
    leave(&environment);
}

static void *thread_main(void *job) {
    do_job(job);
    return NULL;
}

/* Rows are split into one run a thread; what can't be started is done by the caller. */
static int run(Work *work, const Program *program, const double *X, size_t n, int64_t *out,
               size_t width, size_t threads, size_t rows_a_thread) {
    Job jobs[MAX_THREADS];
    if (threads > n / rows_a_thread) threads = n / rows_a_thread;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads < 1) threads = 1;
    size_t share = (n / threads + LANES - 1) / LANES * LANES, from = 0;
    int status = 0;
    for (size_t k = 0; k < threads; k++) {
        size_t rows = n - from < share || k + 1 == threads ? n - from : share;
        jobs[k] = (Job){.work = work, .program = program, .X = X + from * program->n_features,
                        .n = rows, .out = out + from * width};
        from += rows;
        if (k > 0)
            jobs[k].started = pthread_create(&jobs[k].thread, NULL, thread_main, jobs + k) == 0;
    }
    for (size_t k = 0; k < threads; k++) {
        if (jobs[k].started)
            pthread_join(jobs[k].thread, NULL);
        else
            do_job(jobs + k);
        if (jobs[k].status) status = jobs[k].status;
    }
    return status;
}

/* ---- preparing ------------------------------------------------------------------------------ */

static void free_program(Program *program) {
    if (!program) return;
    for (size_t p = 0; program->parts && p < program->n_parts; p++) {
        Trees *trees = &program->parts[p].trees;
        void *of_trees[] = {trees->words, trees->packed, trees->tests, trees->small, trees->columns, trees->value, trees->roots, trees->node,
                            trees->left, trees->right, trees->leaf, trees->first, trees->before,
                            trees->share, trees->merged, trees->order, trees->table_at,
                            trees->table};
        for (size_t k = 0; k < sizeof of_trees / sizeof *of_trees; k++) free(of_trees[k]);
        Linear *linear = &program->parts[p].linear;
        void *of_linear[] = {linear->column, linear->table_column, linear->table_start,
                             linear->cut_start, linear->center, linear->scale, linear->low,
                             linear->high, linear->weight, linear->cut, linear->missing,
                             linear->mean, linear->table_value, linear->table_missing,
                             linear->table_other, linear->table_mean};
        for (size_t k = 0; k < sizeof of_linear / sizeof *of_linear; k++) free(of_linear[k]);
    }
    free(program->parts);
    free(program->used);
    free(program->t);
    free(program->u);
    free(program->w);
    free(program);
}

static int refuse(const char *what) {
    PyErr_SetString(PyExc_ValueError, what);
    return -1;
}

/* Copies item `index` of a tuple of contiguous buffers; counts its items of `size` bytes. */
static int copy_in(PyObject *tuple, Py_ssize_t index, size_t size, void *out, uint32_t *count) {
    PyObject *item = PyTuple_GetItem(tuple, index);
    Py_buffer view;
    if (!item || PyObject_GetBuffer(item, &view, PyBUF_C_CONTIGUOUS)) return -1;
    int status = -1;
    if (view.itemsize != (Py_ssize_t)size || view.len / (Py_ssize_t)size > (1 << 28)) {
        refuse("an array of a part has the wrong item size or too many items");
    } else {
        void *copy = malloc(view.len ? (size_t)view.len : 1);
        if (!copy) {
            PyErr_NoMemory();
        } else {
            memcpy(copy, view.buf, (size_t)view.len);
            *(void **)out = copy;
            *count = (uint32_t)((size_t)view.len / size);
            status = 0;
        }
    }
    PyBuffer_Release(&view);
    return status;
}

static int ranges_hold(const int32_t *start, uint32_t count, uint32_t n_ranges, uint32_t n_items) {
    if (count != n_ranges + 1 || start[0] != 0 || (uint32_t)start[n_ranges] != n_items) return 0;
    for (uint32_t k = 0; k < n_ranges; k++)
        if (start[k] > start[k + 1]) return 0;
    return 1;
}

static int columns_hold(const int32_t *column, uint32_t count, size_t n_features) {
    for (uint32_t k = 0; k < count; k++)
        if (column[k] < 0 || (size_t)column[k] >= n_features) return 0;
    return 1;
}

typedef struct {
    int32_t *root, *feature, *left, *right, *set_index, *set_start;
    double *threshold, *node_cover;
    uint8_t *flags;
} Raw;

static void free_raw(Raw *raw) {
    free(raw->root);
    free(raw->feature);
    free(raw->left);
    free(raw->right);
    free(raw->set_index);
    free(raw->set_start);
    free(raw->threshold);
    free(raw->node_cover);
    free(raw->flags);
}

/* Canonical order (parent, left subtree, right subtree; leaves left to right), which leaves no
 * room for cycles or sharing. Fills first. */
static int order_holds(Trees *trees, const Raw *raw) {
    int32_t stack[MAX_DEPTH + 2];
    uint32_t depth[MAX_DEPTH + 2];
    uint32_t next_node = 0, next_leaf = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        size_t top = 0;
        trees->first[tree] = next_node;
        stack[0] = raw->root[tree];
        depth[0] = 0;
        top = 1;
        while (top) {
            int32_t ref = stack[--top];
            uint32_t level = depth[top];
            if (ref < 0) {
                if (next_leaf >= trees->n_leaves || (uint32_t)~ref != next_leaf) return 0;
                next_leaf++;
                continue;
            }
            if (next_node >= trees->n_nodes || (uint32_t)ref != next_node || level >= MAX_DEPTH)
                return 0;
            next_node++;
            stack[top] = raw->right[ref];
            depth[top++] = level + 1;
            stack[top] = raw->left[ref];
            depth[top++] = level + 1;
        }
    }
    trees->first[trees->n_trees] = next_node;
    return next_node == trees->n_nodes && next_leaf == trees->n_leaves;
}

static int make_node(Node *node, const Raw *raw, uint32_t i, int rule, uint32_t n_sets,
                     size_t n_features) {
    int32_t column = raw->feature[i];
    uint8_t flags = raw->flags[i];
    double threshold = raw->threshold[i];
    if (column < 0 || (size_t)column >= n_features || isnan(threshold)) return -1;
    node->child = 0;
    node->bits = (uint32_t)column | (flags & MISSING_LEFT ? NAN_LEFT : 0);
    if (flags & CATEGORICAL) {
        int32_t set = raw->set_index[i];
        if (rule == SKLEARN || set < 0 || (uint32_t)set >= n_sets) return -1;
        uint32_t start = (uint32_t)raw->set_start[set];
        uint32_t n_words = (uint32_t)raw->set_start[set + 1] - start;
        if (n_words > (1u << 26)) return -1;
        node->u.set.start = start;
        node->u.set.n_bits = n_words * 32;
        node->bits |= SET | (rule == XGBOOST ? FLOAT_SET : 0);
    } else if (rule == LIGHTGBM) {
        node->u.cut = threshold;
        if (flags & MISSING_ZERO)
            node->bits |= ZERO;
        else if (!(flags & MISSING_NAN)) /* NaN is compared as 0.0 */
            node->bits = (uint32_t)column | (0.0 <= threshold ? NAN_LEFT : 0);
    } else {
        if (rule == XGBOOST && isinf(threshold) && threshold < 0) return -1; /* nothing is below */
        node->u.cut = cut_of(threshold, rule == XGBOOST);
    }
    return 0;
}

/* Packs a tree from slot `at` on: children side by side, the child that more rows reach next. */
static uint32_t pack_tree(Trees *trees, const Raw *raw, const double *leaf_cover, int32_t root,
                          uint32_t at) {
    int32_t refs[MAX_DEPTH + 2];
    uint32_t slots[MAX_DEPTH + 2];
    size_t top = 1;
    uint32_t next = at + 2;
    refs[0] = root;
    slots[0] = at;
    while (top) {
        int32_t ref = refs[--top];
        uint32_t slot = slots[top];
        Node *node = trees->packed + slot;
        if (ref < 0) {
            node->u.cut = HUGE_VAL;
            node->child = slot;
            node->bits = LEAF | NAN_LEFT;
            trees->value[slot] = trees->leaf[~ref];
            continue;
        }
        *node = trees->node[ref];
        node->child = next;
        int32_t left = raw->left[ref], right = raw->right[ref];
        double of_left = left < 0 ? leaf_cover[~left] : raw->node_cover[left];
        double of_right = right < 0 ? leaf_cover[~right] : raw->node_cover[right];
        int left_last = of_left >= of_right;
        node->bits |= (uint32_t)(left < 0) << ENDS_SHIFT;
        node->bits |= (uint32_t)(right < 0) << (ENDS_SHIFT + 1);
        refs[top] = left_last ? right : left;
        slots[top++] = next + (uint32_t)left_last;
        refs[top] = left_last ? left : right;
        slots[top++] = next + (uint32_t)!left_last;
        next += 2;
    }
    trees->packed[at + 1] = trees->packed[at]; /* unused: keeps pairs aligned */
    return next;
}

static int pack(Trees *trees, const Raw *raw, const double *leaf_cover) {
    size_t slots = 2 * ((size_t)trees->n_nodes + trees->n_trees);
    trees->packed_bytes = slots * sizeof(Node);
    trees->packed = aligned_alloc(64, (trees->packed_bytes + 63) / 64 * 64 + 64);
    trees->value = room(slots, sizeof(int64_t));
    trees->roots = room(trees->n_trees, sizeof(uint32_t));
    uint32_t *at = room(trees->n_trees, sizeof(uint32_t));
    if (!trees->packed || !trees->value || !trees->roots || !at) {
        free(at);
        PyErr_NoMemory();
        return -1;
    }
    uint32_t next = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        at[tree] = next;
        next = pack_tree(trees, raw, leaf_cover, raw->root[tree], next);
    }
    uint32_t small = 0, large = trees->n_small;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = trees->first[tree + 1] - trees->first[tree];
        trees->roots[n < SMALL_LEAVES ? small++ : large++] = at[tree];
    }
    free(at);
    return 0;
}

static int list_columns(Trees *trees, size_t n_features, uint32_t *place) {
    memset(place, 0, n_features * sizeof *place);
    for (uint32_t i = 0; i < trees->n_nodes; i++) place[trees->node[i].bits & COLUMN] = 1;
    for (size_t column = 0; column < n_features; column++) trees->n_columns += place[column];
    trees->columns = room(trees->n_columns, sizeof(uint32_t));
    if (!trees->columns) return -1;
    for (uint32_t column = 0, next = 0; column < n_features; column++)
        if (place[column]) {
            trees->columns[next] = column;
            place[column] = next++;
        }
    return 0;
}

/* The leaves left of node i's right child, as bits from the tree's first leaf on: canonical order
 * puts the left subtree's last leaf just before the right subtree's first. */
static void leaf_ranges(const Trees *trees, uint32_t first, uint32_t last, uint32_t *from,
                        uint32_t *middle) {
    uint32_t width[SMALL_LEAVES];
    for (uint32_t i = last; i-- > first;) {
        int32_t left = trees->left[i], right = trees->right[i];
        uint32_t of_left = left < 0 ? 1 : width[(uint32_t)left - first];
        uint32_t of_right = right < 0 ? 1 : width[(uint32_t)right - first];
        width[i - first] = of_left + of_right;
        middle[i - first] = of_left;
    }
    from[0] = 0;
    for (uint32_t i = first; i < last; i++) {
        int32_t left = trees->left[i], right = trees->right[i];
        uint32_t start = from[i - first];
        middle[i - first] += start;
        if (left >= 0) from[(uint32_t)left - first] = start;
        if (right >= 0) from[(uint32_t)right - first] = middle[i - first];
    }
}

static uint32_t add_tests(Trees *trees, uint32_t tree, Small *small, const uint32_t *place,
                          uint32_t next) {
    uint32_t first = trees->first[tree], last = trees->first[tree + 1];
    uint32_t from[SMALL_LEAVES], middle[SMALL_LEAVES], ends[3];
    leaf_ranges(trees, first, last, from, middle);
    small->first = next;
    for (int kind = 0; kind < 3; kind++) {
        for (uint32_t i = first; i < last; i++) {
            const Node *node = trees->node + i;
            if (kind != (node->bits & SPECIAL ? 2 : node->bits & NAN_LEFT ? 1 : 0)) continue;
            uint64_t up_to_middle = ((uint64_t)1 << middle[i - first]) - 1;
            uint64_t up_to_from = ((uint64_t)1 << from[i - first]) - 1;
            trees->tests[next++] = (Test){.cut = node->u.cut,
                                          .keep = (int64_t)~(up_to_middle ^ up_to_from),
                                          .column = place[node->bits & COLUMN],
                                          .node = i};
        }
        ends[kind] = next;
    }
    small->nan_left = ends[0];
    small->special = ends[1];
    small->end = ends[2];
    return next;
}

static int make_small(Trees *trees, size_t n_features) {
    uint32_t *place = room(n_features, sizeof(uint32_t)), next = 0, leaf = 0, filled = 0;
    size_t n_tests = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = trees->first[tree + 1] - trees->first[tree];
        if (n >= SMALL_LEAVES) continue;
        trees->n_small++;
        n_tests += n;
    }
    trees->tests = room(n_tests, sizeof(Test));
    trees->small = room(trees->n_small, sizeof(Small));
    if (!place || !trees->tests || !trees->small || list_columns(trees, n_features, place)) {
        free(place);
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = trees->first[tree + 1] - trees->first[tree];
        if (n < SMALL_LEAVES) {
            trees->small[filled].leaf = leaf;
            next = add_tests(trees, tree, trees->small + filled++, place, next);
        }
        leaf += n + 1;
    }
    free(place);
    return 0;
}

/* Adds the largest absolute terms of a part to `total`; -1 above MAX_SUM. */
static int count_term(int64_t term, int64_t *largest) {
    if (term > MAX_SUM || term < -MAX_SUM) return -1;
    if (term < 0) term = -term;
    if (term > *largest) *largest = term;
    return 0;
}

static int count_sum(int64_t largest, int64_t *total) {
    *total += largest;
    return *total > MAX_SUM ? -1 : 0;
}

static int trees_fit(const Trees *trees, const Raw *raw, int64_t *total) {
    uint32_t leaf = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = raw->root[tree] < 0 ? 1 : trees->first[tree + 1] - trees->first[tree] + 1;
        int64_t largest = 0;
        for (uint32_t k = 0; k < n; k++)
            if (count_term(trees->leaf[leaf++], &largest)) return 0;
        if (count_sum(largest, total)) return 0;
    }
    return 1;
}

/* (rule, root, feature, threshold, left, right, flags, set_index, set_start, set_bits, leaf,
 * node_cover, leaf_cover) */
static int read_trees(Program *program, Part *part, PyObject *tuple, int64_t *total) {
    Trees *trees = &part->trees;
    Raw raw = {0};
    double *leaf_cover = NULL;
    uint32_t n, counts[7], n_starts, n_words, n_covers;
    int status = -1;
    long rule = PyLong_AsLong(PyTuple_GetItem(tuple, 0));
    if (PyErr_Occurred()) return -1;
    if (copy_in(tuple, 1, 4, &raw.root, &trees->n_trees) ||
        copy_in(tuple, 2, 4, &raw.feature, &counts[0]) ||
        copy_in(tuple, 3, 8, &raw.threshold, &counts[1]) ||
        copy_in(tuple, 4, 4, &raw.left, &counts[2]) ||
        copy_in(tuple, 5, 4, &raw.right, &counts[3]) ||
        copy_in(tuple, 6, 1, &raw.flags, &counts[4]) ||
        copy_in(tuple, 7, 4, &raw.set_index, &counts[5]) ||
        copy_in(tuple, 8, 4, &raw.set_start, &n_starts) ||
        copy_in(tuple, 9, 4, &trees->words, &n_words) ||
        copy_in(tuple, 10, 8, &trees->leaf, &trees->n_leaves) ||
        copy_in(tuple, 11, 8, &raw.node_cover, &counts[6]) ||
        copy_in(tuple, 12, 8, &leaf_cover, &n_covers))
        goto done;
    n = trees->n_nodes = counts[0];
    for (int k = 1; k < 7; k++)
        if (counts[k] != n) {
            refuse("the arrays of nodes have different lengths");
            goto done;
        }
    if (rule < LIGHTGBM || rule > XGBOOST || n_covers != trees->n_leaves || n_starts < 1 ||
        n > MAX_NODES || trees->n_leaves > MAX_NODES || trees->n_trees > MAX_NODES ||
        !ranges_hold(raw.set_start, n_starts, n_starts - 1, n_words)) {
        refuse("a part of trees is malformed");
        goto done;
    }
    trees->first = room((size_t)trees->n_trees + 1, sizeof(uint32_t));
    trees->node = room(n, sizeof(Node));
    if (!trees->first || !trees->node) {
        PyErr_NoMemory();
        goto done;
    }
    if (!order_holds(trees, &raw) || !trees_fit(trees, &raw, total)) {
        refuse("nodes are not in canonical order, too deep, or leaves too large");
        goto done;
    }
    for (uint32_t i = 0; i < n; i++)
        if (make_node(trees->node + i, &raw, i, (int)rule, n_starts - 1, program->n_features)) {
            refuse("a node names no column, no set or no threshold");
            goto done;
        }
    trees->left = raw.left;
    trees->right = raw.right;
    status = make_small(trees, program->n_features) || pack(trees, &raw, leaf_cover) ? -1 : 0;
    raw.left = raw.right = NULL;
done:
    free_raw(&raw);
    free(leaf_cover);
    return status;
}

static int linear_fits(const Linear *linear, int64_t *total) {
    for (uint32_t m = 0; m < linear->n_numeric; m++) {
        int64_t largest = 0;
        double ends[2] = {linear->low[m], linear->high[m]};
        if (!(linear->low[m] <= linear->high[m])) return 0;
        if (!(linear->scale[m] > 0)) return 0;
        for (int k = 0; k < 2; k++) {
            double term = ((ends[k] - linear->center[m]) / linear->scale[m]) * linear->weight[m];
            if (!(fabs(term) <= (double)MAX_SUM)) return 0;
            if (count_term((int64_t)rint(term), &largest)) return 0;
        }
        if (count_term(linear->missing[m], &largest) || count_term(linear->mean[m], &largest) ||
            count_sum(largest, total))
            return 0;
    }
    for (uint32_t k = 0; k < linear->n_tables; k++) {
        int64_t largest = 0;
        int32_t n_cuts = linear->cut_start[k + 1] - linear->cut_start[k];
        int32_t n_values = linear->table_start[k + 1] - linear->table_start[k];
        if (n_cuts > 0 && n_values != n_cuts + 1) return 0;
        for (int32_t v = linear->table_start[k]; v < linear->table_start[k + 1]; v++)
            if (count_term(linear->table_value[v], &largest)) return 0;
        if (count_term(linear->table_missing[k], &largest) ||
            count_term(linear->table_other[k], &largest) ||
            count_term(linear->table_mean[k], &largest) || count_sum(largest, total))
            return 0;
    }
    return 1;
}

/* (column, center, scale, low, high, weight, missing, mean, table_column, table_start,
 * table_value, cut_start, cut, table_missing, table_other, table_mean) */
static int read_linear(Program *program, Part *part, PyObject *tuple, int64_t *total) {
    Linear *linear = &part->linear;
    uint32_t counts[7], of_tables[3], n_starts, n_cut_starts, n_values, n_cuts;
    if (copy_in(tuple, 0, 4, &linear->column, &linear->n_numeric) ||
        copy_in(tuple, 1, 8, &linear->center, &counts[0]) ||
        copy_in(tuple, 2, 8, &linear->scale, &counts[1]) ||
        copy_in(tuple, 3, 8, &linear->low, &counts[2]) ||
        copy_in(tuple, 4, 8, &linear->high, &counts[3]) ||
        copy_in(tuple, 5, 8, &linear->weight, &counts[4]) ||
        copy_in(tuple, 6, 8, &linear->missing, &counts[5]) ||
        copy_in(tuple, 7, 8, &linear->mean, &counts[6]) ||
        copy_in(tuple, 8, 4, &linear->table_column, &linear->n_tables) ||
        copy_in(tuple, 9, 4, &linear->table_start, &n_starts) ||
        copy_in(tuple, 10, 8, &linear->table_value, &n_values) ||
        copy_in(tuple, 11, 4, &linear->cut_start, &n_cut_starts) ||
        copy_in(tuple, 12, 8, &linear->cut, &n_cuts) ||
        copy_in(tuple, 13, 8, &linear->table_missing, &of_tables[0]) ||
        copy_in(tuple, 14, 8, &linear->table_other, &of_tables[1]) ||
        copy_in(tuple, 15, 8, &linear->table_mean, &of_tables[2]))
        return -1;
    for (int k = 0; k < 7; k++)
        if (counts[k] != linear->n_numeric) return refuse("the arrays of terms differ in length");
    for (int k = 0; k < 3; k++)
        if (of_tables[k] != linear->n_tables)
            return refuse("the arrays of tables differ in length");
    if (!ranges_hold(linear->table_start, n_starts, linear->n_tables, n_values) ||
        !ranges_hold(linear->cut_start, n_cut_starts, linear->n_tables, n_cuts) ||
        !columns_hold(linear->column, linear->n_numeric, program->n_features) ||
        !columns_hold(linear->table_column, linear->n_tables, program->n_features) ||
        !linear_fits(linear, total))
        return refuse("a linear part is malformed or its terms too large");
    return 0;
}

static void capsule_free(PyObject *capsule) {
    free_program(PyCapsule_GetPointer(capsule, CAPSULE));
}

static PyObject *failed(Program *program) {
    free_program(program);
    if (!PyErr_Occurred()) PyErr_NoMemory();
    return NULL;
}

PyDoc_STRVAR(prepare_doc,
             "prepare(n_features, base, parts) -> handle\n\n"
             "Pack checked arrays for evaluation; ValueError where memory safety or termination\n"
             "would not hold.");

static PyObject *prepare(PyObject *module, PyObject *args) {
    (void)module;
    long long n_features, base;
    PyObject *parts;
    if (!PyArg_ParseTuple(args, "LLO!", &n_features, &base, &PyTuple_Type, &parts)) return NULL;
    Program *program = room(1, sizeof *program);
    if (!program) return PyErr_NoMemory();
    int64_t total = 0, largest = 0;
    if (n_features < 1 || n_features > MAX_FEATURES || count_term(base, &largest) ||
        count_sum(largest, &total)) {
        refuse("the number of columns or the base is out of range");
        return failed(program);
    }
    program->n_features = (size_t)n_features;
    program->base = base;
    program->n_parts = (size_t)PyTuple_Size(parts);
    program->parts = room(program->n_parts, sizeof(Part));
    if (!program->parts) return failed(program);
    size_t packed_bytes = 0;
    for (size_t p = 0; p < program->n_parts; p++) {
        PyObject *tuple = PyTuple_GetItem(parts, (Py_ssize_t)p);
        Part *part = program->parts + p;
        if (!tuple || !PyTuple_Check(tuple)) {
            refuse("expected a tuple a part");
            return failed(program);
        }
        part->is_trees = PyTuple_Size(tuple) == 13;
        if (part->is_trees ? read_trees(program, part, tuple, &total)
                           : read_linear(program, part, tuple, &total))
            return failed(program);
        packed_bytes += part->trees.packed_bytes;
    }
    /* Small programs stay in the cache beside a block of rows; large ones are read once a block,
     * so the block is larger. */
    size_t block_bytes = packed_bytes > (1u << 21) ? 1u << 20 : 1u << 16;
    size_t rows = block_bytes / (sizeof(double) * program->n_features) / LANES * LANES;
    program->rows_a_block = rows < LANES ? LANES : rows > BLOCK ? BLOCK : rows;
    PyObject *capsule = PyCapsule_New(program, CAPSULE, capsule_free);
    return capsule ? capsule : failed(program);
}

/* (before, share, merged, order) of a part of trees */
static int plan_trees(const Program *program, Trees *trees, PyObject *tuple) {
    uint32_t counts[4];
    void *copies[4] = {NULL};
    const size_t sizes[4] = {8, 8, 8, 4};
    if (PyTuple_Size(tuple) != 4) return refuse("expected four arrays a part of trees");
    void **homes[4] = {(void **)&trees->before, (void **)&trees->share, (void **)&trees->merged,
                       (void **)&trees->order};
    for (int k = 0; k < 4; k++) {
        if (copy_in(tuple, k, sizes[k], &copies[k], &counts[k])) return -1;
        *homes[k] = copies[k];
    }
    if (counts[0] != trees->n_nodes || counts[1] != 2 * trees->n_nodes ||
        counts[2] != 2 * trees->n_nodes || counts[3] != trees->n_trees)
        return refuse("the arrays of a part's reasons differ in length");
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t first = trees->first[tree], last = trees->first[tree + 1];
        if (first == last) continue;
        if (trees->order[tree] < 1 || trees->order[tree] > program->max_order)
            return refuse("a tree has too few or too many quadrature nodes");
        for (uint32_t i = first; i < last; i++)
            if (trees->before[i] < -1 || trees->before[i] >= 2 * (int64_t)i ||
                (trees->before[i] >= 0 && trees->before[i] < 2 * (int64_t)first))
                return refuse("a node's earlier split is not before it in its tree");
    }
    for (uint32_t k = 0; k < 2 * trees->n_nodes; k++)
        if (!(trees->share[k] >= 0 && trees->share[k] <= 1 && trees->merged[k] >= 0 &&
              trees->merged[k] <= 1))
            return refuse("a share of rows is not in [0, 1]");
    return 0;
}

/* Keeps every node's table where all of them are small enough to be worth the memory. */
static int keep_tables(const Program *program, Trees *trees) {
    const size_t most = (size_t)1 << 22; /* doubles: 32 MiB */
    size_t size = 0;
    trees->table_at = room(trees->n_trees, sizeof(size_t));
    if (!trees->table_at) return -1;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        trees->table_at[tree] = size;
        size += (size_t)(trees->first[tree + 1] - trees->first[tree]) * 8 * trees->order[tree];
    }
    if (size > most) return 0;
    trees->table = room(size, sizeof(double));
    if (!trees->table) return -1;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++)
        if (trees->first[tree] < trees->first[tree + 1])
            fill_table(program, trees, tree, trees->table + trees->table_at[tree]);
    return 0;
}

static int list_used(Program *program) {
    uint8_t *seen = room(program->n_features, 1);
    program->used = room(program->n_features, sizeof(uint32_t));
    if (!seen || !program->used) {
        free(seen);
        return -1;
    }
    for (size_t p = 0; p < program->n_parts; p++) {
        const Trees *trees = &program->parts[p].trees;
        const Linear *linear = &program->parts[p].linear;
        for (uint32_t i = 0; i < trees->n_nodes; i++) seen[trees->node[i].bits & COLUMN] = 1;
        for (uint32_t m = 0; m < linear->n_numeric; m++) seen[linear->column[m]] = 1;
        for (uint32_t k = 0; k < linear->n_tables; k++) seen[linear->table_column[k]] = 1;
    }
    for (size_t column = 0; column < program->n_features; column++)
        if (seen[column]) program->used[program->n_used++] = (uint32_t)column;
    free(seen);
    return 0;
}

PyDoc_STRVAR(plan_doc,
             "plan(handle, base, max_order, t, u, w, parts) -> None\n\n"
             "Make a prepared program ready for reasons: their base, the quadrature nodes t, u =\n"
             "1 - t and weights w of orders 1..max_order one after another, and (before, share,\n"
             "merged, order) a part of trees, () a linear part.");

static PyObject *plan(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *capsule, *quadrature, *parts;
    long long base;
    unsigned int max_order;
    if (!PyArg_ParseTuple(args, "OLIO!O!", &capsule, &base, &max_order, &PyTuple_Type, &quadrature,
                          &PyTuple_Type, &parts))
        return NULL;
    Program *program = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!program) return NULL;
    if (program->planned) Py_RETURN_NONE;
    uint32_t n_t, n_u, n_w;
    if (max_order > MAX_DEPTH || base > MAX_SCORE || base < -MAX_SCORE ||
        PyTuple_Size(quadrature) != 3 || (size_t)PyTuple_Size(parts) != program->n_parts ||
        program->t || program->used) {
        refuse("the plan does not belong to this program");
        return NULL;
    }
    size_t points = (size_t)max_order * (max_order + 1) / 2;
    program->max_order = max_order;
    program->reason_base = base;
    if (copy_in(quadrature, 0, 8, &program->t, &n_t) ||
        copy_in(quadrature, 1, 8, &program->u, &n_u) ||
        copy_in(quadrature, 2, 8, &program->w, &n_w))
        return NULL;
    if (n_t != points || n_u != points || n_w != points) {
        refuse("the quadrature has the wrong length");
        return NULL;
    }
    if (list_used(program)) return PyErr_NoMemory();
    for (size_t p = 0; p < program->n_parts; p++) {
        Trees *trees = &program->parts[p].trees;
        PyObject *tuple = PyTuple_GetItem(parts, (Py_ssize_t)p);
        if (!program->parts[p].is_trees) continue;
        if (!tuple || !PyTuple_Check(tuple)) {
            refuse("expected a tuple a part");
            return NULL;
        }
        if (plan_trees(program, trees, tuple)) return NULL;
        for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
            uint32_t nodes = trees->first[tree + 1] - trees->first[tree];
            size_t work = nodes ? (size_t)nodes * trees->order[tree] : 0;
            if (nodes > program->max_tree_nodes) program->max_tree_nodes = nodes;
            if (work > program->max_tree_work) program->max_tree_work = work;
        }
        if (keep_tables(program, trees)) return PyErr_NoMemory();
    }
    program->planned = 1;
    Py_RETURN_NONE;
}

/* ---- entry points --------------------------------------------------------------------------- */

static PyObject *evaluate(PyObject *args, Work *work, int for_reasons) {
    PyObject *capsule, *x_object, *out_object;
    Py_ssize_t threads;
    if (!PyArg_ParseTuple(args, "OOOn", &capsule, &x_object, &out_object, &threads)) return NULL;
    const Program *program = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!program) return NULL;
    if (for_reasons && !program->planned) {
        refuse("the program has no plan for reasons");
        return NULL;
    }
    Py_buffer X, out;
    if (PyObject_GetBuffer(x_object, &X, PyBUF_C_CONTIGUOUS)) return NULL;
    if (PyObject_GetBuffer(out_object, &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
        PyBuffer_Release(&X);
        return NULL;
    }
    size_t d = program->n_features, width = for_reasons ? d : 1;
    size_t n = (size_t)X.len / sizeof(double) / d;
    int status = 0;
    if (X.itemsize != sizeof(double) || out.itemsize != sizeof(int64_t) ||
        (size_t)X.len != n * d * sizeof(double) ||
        (size_t)out.len != n * width * sizeof(int64_t) || threads < 1) {
        status = refuse("expected (n, n_features) float64 rows, an int64 output and a thread");
    } else if (n) {
        size_t least = for_reasons ? 1 : ROWS_A_THREAD;
        PyThreadState *state = for_reasons || n > ROWS_WITH_GIL ? PyEval_SaveThread() : NULL;
        status = run(work, program, X.buf, n, out.buf, width, (size_t)threads, least);
        if (state) PyEval_RestoreThread(state);
        if (status == -1) PyErr_NoMemory();
        if (status == -2)
            PyErr_SetString(PyExc_RuntimeError,
                            "the floating-point environment can't be set to IEEE-754 defaults");
    }
    PyBuffer_Release(&X);
    PyBuffer_Release(&out);
    if (status) return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(score_doc, "score(handle, X, out, threads) -> None\n\n"
                        "(n, n_features) float64 rows to (n,) int64 scores.");

static PyObject *score(PyObject *module, PyObject *args) {
    (void)module;
    return evaluate(args, score_rows, 0);
}

PyDoc_STRVAR(reasons_doc, "reasons(handle, X, out, threads) -> None\n\n"
                          "(n, n_features) float64 rows to (n, n_features) int64 reasons.");

static PyObject *reasons(PyObject *module, PyObject *args) {
    (void)module;
    return evaluate(args, reasons_rows, 1);
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_VARARGS, prepare_doc},
    {"plan", plan, METH_VARARGS, plan_doc},
    {"score", score, METH_VARARGS, score_doc},
    {"reasons", reasons, METH_VARARGS, reasons_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The sealed program's kernel: docs/concepts/program.md.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) {
    return PyModuleDef_Init(&definition);
}
