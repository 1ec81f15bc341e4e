/* The sealed program's kernel: trees walked from the root, several at once.
 *
 * A column's cuts are sorted once, and a value is replaced by the number of cuts below it: x <= cut
 * exactly where that code is at most the cut's rank. A node is then eight bytes, a step no branch,
 * and what is missing is a code of its own. Slots are columns by how they take what is missing.
 */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_A_LINE 8 /* of a cache line */
#define AT_ONCE 8          /* walks in flight */
#define LEVELS_A_LOOK 4    /* levels between looks whether all have arrived */
#define SET_STEP (1u << 31) /* of Step.next: Step.test is a node of category sets */
#define CODES_BYTES (1u << 19) /* of a block's codes */
#define CODES_HERE 1024 /* slots of a row's codes that need no allocation */

static uint32_t variant_of(const Node *node) {
    return (node->bits & NAN_LEFT ? 1u : 0u) | (node->bits & ZERO ? 2u : 0u);
}

/* ---- codes ---------------------------------------------------------------------------------- */

/* The number of cuts below each of `n` values, `stride` apart. */
INLINE void rank(const double *restrict cuts, uint32_t n_cuts, const double *restrict x,
                 size_t stride, uint32_t n, uint32_t *restrict ranks) {
    for (uint32_t k = 0; k < n; k++) ranks[k] = 0;
    for (uint32_t left = n_cuts; left > 0;) {
        uint32_t half = left - left / 2;
        for (uint32_t k = 0; k < n; k++)
            ranks[k] += half & -(uint32_t)(cuts[ranks[k] + half - 1] < x[k * stride]);
        left /= 2;
    }
}

INLINE void code_rows(const Walk *walk, const double *X, size_t d, const uint32_t n,
                      uint32_t *codes) {
    uint32_t top = ~0u << walk->slot_bits;
    codes[0] = 0; /* where there is no slot */
    for (uint32_t c = 0; c < walk->n_columns; c++) {
        const Column *column = walk->columns + c;
        const double *x = X + column->column;
        uint32_t ranks[AT_ONCE];
        rank(walk->cuts + column->first, column->n_cuts, x, d, n, ranks);
        for (uint32_t v = 0; v < 4; v++) {
            if (!(column->variants >> v & 1u)) continue;
            uint32_t *to = codes + column->slot[v];
            for (uint32_t k = 0; k < n; k++) {
                double value = x[k * d];
                int missing = (value != value) | ((v >> 1) & (fabs(value) <= ZERO_THRESHOLD));
                uint32_t code = ranks[k] << walk->slot_bits;
                to[k * walk->n_slots] = missing ? (v & 1u ? 0u : top) : code;
            }
        }
    }
}

/* ---- steps ---------------------------------------------------------------------------------- */

INLINE uint32_t step(const Trees *trees, uint32_t at, const uint32_t *codes, const double *row,
                     const int with_sets) {
    const Walk *walk = &trees->walk;
    Step here = walk->steps[at];
    if (with_sets && here.next & SET_STEP) {
        const Node *node = trees->node + here.test;
        double x = row[node->bits & COLUMN];
        return (here.next & ~SET_STEP) + (uint32_t)!goes_left_special(node, trees->words, x);
    }
    return here.next + (uint32_t)(here.test < codes[here.test & walk->slot_mask]);
}

/* `n` walks until all are at leaves, which step onto themselves. */
INLINE void arrive(const Trees *trees, uint32_t *at, const uint32_t *codes, size_t n_codes,
                   const double *row, size_t d, const uint32_t n, const int with_sets) {
    uint32_t moved;
    do {
        for (uint32_t level = 1; level < LEVELS_A_LOOK; level++)
            for (uint32_t k = 0; k < n; k++)
                at[k] = step(trees, at[k], codes + k * n_codes, row + k * d, with_sets);
        moved = 0;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t was = at[k];
            at[k] = step(trees, was, codes + k * n_codes, row + k * d, with_sets);
            moved |= was ^ at[k];
        }
    } while (moved);
}

INLINE int64_t trees_of_row(const Trees *trees, uint32_t first, const uint32_t *codes,
                            const double *row, const int with_sets) {
    const Walk *walk = &trees->walk;
    int64_t sum = 0;
    uint32_t at[AT_ONCE], tree = first;
    for (; tree + AT_ONCE <= trees->n_trees; tree += AT_ONCE) {
        memcpy(at, walk->roots + tree, sizeof at);
        arrive(trees, at, codes, 0, row, 0, AT_ONCE, with_sets);
        for (int k = 0; k < AT_ONCE; k++) sum += walk->value[at[k]];
    }
    for (; tree < trees->n_trees; tree++) {
        uint32_t one = walk->roots[tree];
        arrive(trees, &one, codes, 0, row, 0, 1, with_sets);
        sum += walk->value[one];
    }
    return sum;
}

/* Some of a tree's steps and values, so that they are in the cache when it is walked. */
INLINE void fetch(const Walk *walk, size_t from, size_t to) {
    for (size_t at = from; at < to; at += STEPS_A_LINE) {
        __builtin_prefetch(walk->steps + at);
        __builtin_prefetch(walk->value + at);
    }
}

/* The tree at `k`, while the next one is fetched. */
INLINE void tree_of_rows(const Trees *trees, uint32_t k_tree, const uint32_t *codes, const double *X,
                         size_t d, size_t n, int64_t *sums, const int with_sets) {
    const Walk *walk = &trees->walk;
    uint32_t at[AT_ONCE], root = walk->roots[k_tree];
    size_t i = 0, n_slots = walk->n_slots, next = walk->roots[k_tree + 1];
    size_t end = k_tree + 2 <= trees->n_trees ? walk->roots[k_tree + 2] : next;
    size_t each = ((end - next) / (n / AT_ONCE) + STEPS_A_LINE) / STEPS_A_LINE * STEPS_A_LINE;
    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        size_t upto = next + each < end ? next + each : end;
        fetch(walk, next, upto);
        next = upto;
        for (int k = 0; k < AT_ONCE; k++) at[k] = root;
        arrive(trees, at, codes + i * n_slots, n_slots, X + i * d, d, AT_ONCE, with_sets);
        for (int k = 0; k < AT_ONCE; k++) sums[i + (size_t)k] += walk->value[at[k]];
    }
    for (; i < n; i++) {
        uint32_t one = root;
        arrive(trees, &one, codes + i * n_slots, 0, X + i * d, 0, 1, with_sets);
        sums[i] += walk->value[one];
    }
}

static void walk_codes(const Trees *trees, uint32_t first, const uint32_t *codes, const double *X,
                       size_t d, size_t n, int64_t *sums) {
    const Walk *walk = &trees->walk;
    for (size_t i = 0; n < AT_ONCE && i < n; i++, codes += walk->n_slots)
        sums[i] += walk->with_sets ? trees_of_row(trees, first, codes, X + i * d, 1)
                                   : trees_of_row(trees, first, codes, X + i * d, 0);
    if (n < AT_ONCE) return;
    for (uint32_t tree = first; tree < trees->n_trees; tree++)
        if (walk->with_sets)
            tree_of_rows(trees, tree, codes, X, d, n, sums, 1);
        else
            tree_of_rows(trees, tree, codes, X, d, n, sums, 0);
}

/* Where there are too many slots or cuts for codes, or no memory for them. */
static void walk_plainly(const Trees *trees, uint32_t first, const double *X, size_t d, size_t n,
                         int64_t *sums) {
    for (uint32_t k = first; k < trees->n_trees; k++) {
        uint32_t tree = trees->order_of_trees[k], leaf = trees->first[tree] + tree;
        for (size_t i = 0; i < n; i++) {
            int32_t at = trees->first[tree] < trees->first[tree + 1] ? (int32_t)trees->first[tree]
                                                                     : ~(int32_t)leaf;
            while (at >= 0) {
                const Node *node = trees->node + at;
                double x = X[i * d + (node->bits & COLUMN)];
                at = goes_left(node, trees->words, x) ? trees->left[at] : trees->right[at];
            }
            sums[i] += trees->leaf[~at];
        }
    }
}

void walk_trees(const Trees *trees, uint32_t first, const double *X, size_t d, size_t n,
                int64_t *sums) {
    const Walk *walk = &trees->walk;
    uint32_t here[CODES_HERE], *codes = here;
    size_t block = CODES_BYTES / sizeof(uint32_t) / walk->n_slots / AT_ONCE * AT_ONCE;
    if (block < AT_ONCE) block = AT_ONCE;
    if (block > n) block = n;
    if (!walk->steps) {
        walk_plainly(trees, first, X, d, n, sums);
        return;
    }
    if (block * walk->n_slots > CODES_HERE) {
        codes = borrow(walk->spare, block * walk->n_slots * sizeof *codes);
        if (!codes) {
            walk_plainly(trees, first, X, d, n, sums);
            return;
        }
    }
    for (size_t i = 0; i < n; i += block) {
        size_t rows = n - i < block ? n - i : block, k = 0;
        for (; k + AT_ONCE <= rows; k += AT_ONCE)
            code_rows(walk, X + (i + k) * d, d, AT_ONCE, codes + k * walk->n_slots);
        for (; k < rows; k++) code_rows(walk, X + (i + k) * d, d, 1, codes + k * walk->n_slots);
        walk_codes(trees, first, codes, X + i * d, d, rows, sums + i);
    }
    if (codes != here) give_back(walk->spare, codes);
}

/* ---- preparing ------------------------------------------------------------------------------ */

void free_walk(Walk *walk) {
    void *arrays[] = {walk->steps, walk->value, walk->roots, walk->columns, walk->cuts};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
    spare_free(walk->spare);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts each column's cuts and drops repeated ones; `starts` are where they begin. */
static void sort_cuts(Walk *walk, uint32_t *starts) {
    for (uint32_t c = 0; c < walk->n_columns; c++) {
        Column *column = walk->columns + c;
        double *cuts = walk->cuts + starts[c];
        uint32_t n = 0;
        qsort(cuts, column->n_cuts, sizeof *cuts, by_value);
        for (uint32_t k = 0; k < column->n_cuts; k++)
            if (!n || cuts[n - 1] < cuts[k]) cuts[n++] = cuts[k];
        column->first = starts[c];
        column->n_cuts = n;
    }
}

/* The columns that nodes compare, their cuts, and a slot a column and variant; `place` becomes a
 * column's index. */
static int list_slots(const Trees *trees, Walk *walk, size_t n_features, uint32_t *place) {
    uint32_t n_columns = 0, next = 0;
    for (uint32_t i = 0; i < trees->n_nodes; i++)
        if (!(trees->node[i].bits & SET)) place[trees->node[i].bits & COLUMN]++;
    for (size_t c = 0; c < n_features; c++) n_columns += place[c] > 0;
    walk->n_columns = n_columns;
    walk->columns = room(n_columns, sizeof(Column));
    walk->cuts = room(trees->n_nodes, sizeof(double));
    uint32_t *starts = room(n_columns, sizeof(uint32_t)), at = 0;
    if (!walk->columns || !walk->cuts || !starts) {
        free(starts);
        return -1;
    }
    for (size_t c = 0; c < n_features; c++) {
        if (!place[c]) continue;
        walk->columns[next].column = (uint32_t)c;
        starts[next] = at;
        at += place[c];
        place[c] = next++;
    }
    for (uint32_t i = 0; i < trees->n_nodes; i++) {
        const Node *node = trees->node + i;
        if (node->bits & SET) continue;
        uint32_t c = place[node->bits & COLUMN];
        Column *column = walk->columns + c;
        walk->cuts[starts[c] + column->n_cuts++] = node->u.cut;
        column->variants |= 1u << variant_of(node);
    }
    sort_cuts(walk, starts);
    free(starts);
    for (uint32_t c = 0; c < n_columns; c++)
        for (uint32_t v = 0; v < 4; v++)
            if (walk->columns[c].variants >> v & 1u) walk->columns[c].slot[v] = walk->n_slots++;
    if (!walk->n_slots) walk->n_slots = 1;
    return 0;
}

static uint32_t rank_of(const Walk *walk, const Column *column, double cut) {
    uint32_t found;
    rank(walk->cuts + column->first, column->n_cuts, &cut, 1, 1, &found);
    return found;
}

static Step step_of(const Trees *trees, uint32_t i, const uint32_t *place, uint32_t next) {
    const Walk *walk = &trees->walk;
    const Node *node = trees->node + i;
    if (node->bits & SET) return (Step){.test = i, .next = next | SET_STEP};
    const Column *column = walk->columns + place[node->bits & COLUMN];
    uint32_t test = rank_of(walk, column, node->u.cut) << walk->slot_bits;
    return (Step){.test = test | column->slot[variant_of(node)], .next = next};
}

/* A tree's steps from `at` on: children side by side, the child that more rows reach next. */
static uint32_t place_tree(Trees *trees, uint32_t tree, const double *node_cover,
                           const double *leaf_cover, const uint32_t *place, uint32_t at) {
    int32_t refs[MAX_DEPTH + 2];
    uint32_t slots[MAX_DEPTH + 2], next = at + 2;
    Walk *walk = &trees->walk;
    size_t top = 1;
    refs[0] = trees->first[tree] < trees->first[tree + 1] ? (int32_t)trees->first[tree]
                                                          : ~(int32_t)(trees->first[tree] + tree);
    slots[0] = at;
    while (top) {
        int32_t ref = refs[--top];
        uint32_t slot = slots[top];
        if (ref < 0) {
            walk->steps[slot] = (Step){.test = ~0u << walk->slot_bits, .next = slot};
            walk->value[slot] = trees->leaf[~ref];
            continue;
        }
        walk->steps[slot] = step_of(trees, (uint32_t)ref, place, next);
        int32_t left = trees->left[ref], right = trees->right[ref];
        double of_left = left < 0 ? leaf_cover[~left] : node_cover[left];
        double of_right = right < 0 ? leaf_cover[~right] : node_cover[right];
        int left_last = of_left >= of_right;
        refs[top] = left_last ? right : left;
        slots[top++] = next + (uint32_t)left_last;
        refs[top] = left_last ? left : right;
        slots[top++] = next + (uint32_t)!left_last;
        next += 2;
    }
    return next;
}

int make_walk(Trees *trees, const double *node_cover, const double *leaf_cover, size_t n_features) {
    Walk *walk = &trees->walk;
    size_t n_steps = 2 * ((size_t)trees->n_nodes + trees->n_trees);
    uint32_t *place = room(n_features, sizeof(uint32_t)), most = 0, at = 0;
    int status = place ? list_slots(trees, walk, n_features, place) : -1;
    for (uint32_t c = 0; c < walk->n_columns && !status; c++)
        if (walk->columns[c].n_cuts > most) most = walk->columns[c].n_cuts;
    while (1ull << walk->slot_bits < walk->n_slots) walk->slot_bits++;
    walk->slot_mask = (1u << walk->slot_bits) - 1;
    if (status || most >= (1ull << (32 - walk->slot_bits)) - 1) { /* walk_plainly, then */
        free(place);
        return status;
    }
    walk->value = room(n_steps, sizeof(int64_t));
    walk->roots = room((size_t)trees->n_trees + 1, sizeof(uint32_t));
    walk->steps = aligned_alloc(64, (n_steps * sizeof(Step) + 63) / 64 * 64 + 64);
    if (walk->n_slots > CODES_HERE) walk->spare = spare_new(walk->n_slots * sizeof(uint32_t));
    if (!walk->value || !walk->roots || !walk->steps ||
        (walk->n_slots > CODES_HERE && !walk->spare)) {
        free(place);
        return -1;
    }
    for (uint32_t k = 0; k < trees->n_trees; k++) {
        walk->roots[k] = at;
        at = place_tree(trees, trees->order_of_trees[k], node_cover, leaf_cover, place, at);
    }
    walk->roots[trees->n_trees] = at;
    for (uint32_t i = 0; i < trees->n_nodes; i++)
        if (trees->node[i].bits & SET) walk->with_sets = 1;
    trees->packed_bytes = n_steps * (sizeof(Step) + sizeof(int64_t));
    free(place);
    return 0;
}
