/* The sealed program's kernel: exact reasons of trees, and all reasons in whole units. */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
        reasons_of_trees(program, &part->trees, X, n, scratch);
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

int reasons_rows(const Program *program, const double *X, size_t n, int64_t *phi) {
    Scratch scratch;
    if (make_scratch(program, &scratch)) return -1;
    size_t d = program->n_features;
    for (size_t i = 0; i < n; i += scratch.rows)
        reasons_block(program, X + i * d, n - i < scratch.rows ? n - i : scratch.rows,
                      phi + i * d, &scratch);
    free_scratch(&scratch);
    return 0;
}

/* ---- planning ------------------------------------------------------------------------------- */

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

Fault plan_program(Program *program, int64_t base, uint32_t max_order, const Array *quadrature) {
    double **homes[3] = {&program->t, &program->u, &program->w};
    if (max_order > MAX_DEPTH || base > MAX_SCORE || base < -MAX_SCORE || program->used || program->t)
        return "the plan does not belong to this program";
    program->max_order = max_order;
    program->reason_base = base;
    for (int k = 0; k < 3; k++) {
        uint32_t count;
        Fault fault = copy_in(quadrature + k, sizeof(double), homes[k], &count);
        if (fault) return fault;
        if (count != (size_t)max_order * (max_order + 1) / 2)
            return "the quadrature has the wrong length";
    }
    return list_used(program) ? NO_MEMORY : NULL;
}

static int shares_hold(const double *share, size_t count) {
    for (size_t k = 0; k < count; k++)
        if (!(share[k] >= 0 && share[k] <= 1)) return 0;
    return 1;
}

Fault plan_trees(Program *program, Trees *trees, const Array *arrays) {
    uint32_t counts[PLAN_ARRAYS];
    const size_t sizes[PLAN_ARRAYS] = {8, 8, 8, 4};
    void *homes[PLAN_ARRAYS] = {&trees->before, &trees->share, &trees->merged, &trees->order};
    for (int k = 0; k < PLAN_ARRAYS; k++) {
        Fault fault = copy_in(arrays + k, sizes[k], homes[k], counts + k);
        if (fault) return fault;
    }
    if (counts[0] != trees->n_nodes || counts[1] != 2 * trees->n_nodes ||
        counts[2] != 2 * trees->n_nodes || counts[3] != trees->n_trees)
        return "the arrays of a part's reasons differ in length";
    if (!shares_hold(trees->share, counts[1]) || !shares_hold(trees->merged, counts[2]))
        return "a share of rows is not in [0, 1]";
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t first = trees->first[tree], last = trees->first[tree + 1];
        if (first == last) continue;
        if (trees->order[tree] < 1 || trees->order[tree] > program->max_order)
            return "a tree has too few or too many quadrature nodes";
        for (uint32_t i = first; i < last; i++)
            if (trees->before[i] < -1 || trees->before[i] >= 2 * (int64_t)i ||
                (trees->before[i] >= 0 && trees->before[i] < 2 * (int64_t)first))
                return "a node's earlier split is not before it in its tree";
        size_t work = (size_t)(last - first) * trees->order[tree];
        if (last - first > program->max_tree_nodes) program->max_tree_nodes = last - first;
        if (work > program->max_tree_work) program->max_tree_work = work;
    }
    return keep_tables(program, trees) ? NO_MEMORY : NULL;
}
