/* The sealed program's kernel: what reasons need once, checked and laid out. */
#include "_shapley.h"

#include <stdlib.h>
#include <string.h>

#define TABLES_KEPT ((size_t)1 << 22) /* doubles, 32 MiB */
#define MAX_TOTALS ((size_t)1 << 25)  /* of a row: limits.py */

/* Keeps every tree's table where there is room for all of the part's. */
static int keep_tables(Program *program, Trees *trees) {
    size_t size = 0;
    trees->table_at = room(trees->n_trees, sizeof(size_t));
    if (!trees->table_at) return -1;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        trees->table_at[tree] = size;
        size += (size_t)(trees->first[tree + 1] - trees->first[tree]) * 7 * trees->order[tree];
    }
    if (size > TABLES_KEPT - program->tables_kept) return 0;
    program->tables_kept += size;
    trees->table = room(size, sizeof(double));
    if (!trees->table) return -1;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        if (trees->first[tree] == trees->first[tree + 1]) continue;
        Points points = points_of(program, trees, tree);
        fill_table(trees, tree, &points,
                   trees->table + trees->table_at[tree]);
    }
    return 0;
}

static int list_used(Program *program) {
    uint8_t *seen = room(program->n_features, 1);
    program->used = room(program->n_features, sizeof(uint32_t));
    program->place = room(program->n_features, sizeof(uint32_t));
    if (!seen || !program->used || !program->place) {
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
    for (size_t column = 0; column < program->n_features; column++) {
        if (!seen[column]) continue;
        program->place[column] = (uint32_t)program->n_used;
        program->used[program->n_used++] = (uint32_t)column;
    }
    free(seen);
    return 0;
}

/* Points of each order, padded to a multiple of four by points of no weight. */
static Fault pad_points(Program *program, const Array *quadrature) {
    const double fill[3] = {0.5, 0.5, 0.0};
    double **homes[3] = {&program->t, &program->u, &program->w};
    size_t size = 0, given = 0;
    program->points_at = room((size_t)program->max_order + 1, sizeof(size_t));
    if (!program->points_at) return NO_MEMORY;
    for (uint32_t q = 1; q <= program->max_order; q++) {
        program->points_at[q] = size;
        size += (q + 3) / 4 * 4;
        given += q;
    }
    for (int k = 0; k < 3; k++) {
        const double *from = quadrature[k].items;
        if (quadrature[k].size != sizeof(double) || quadrature[k].bytes != given * sizeof(double))
            return "the quadrature has the wrong length";
        *homes[k] = room(size, sizeof(double));
        if (!*homes[k]) return NO_MEMORY;
        for (size_t i = 0; i < size; i++) (*homes[k])[i] = fill[k];
        for (uint32_t q = 1; q <= program->max_order; from += q++)
            memcpy(*homes[k] + program->points_at[q], from, q * sizeof(double));
    }
    program->fail = room(size, sizeof(double));
    if (!program->fail) return NO_MEMORY;
    for (size_t i = 0; i < size; i++) program->fail[i] = -1.0 / program->u[i];
    return NULL;
}

Fault plan_program(Program *program, int64_t base, uint32_t max_order, const Array *quadrature) {
    if (max_order > MAX_DEPTH || base > MAX_SCORE || base < -MAX_SCORE || program->used)
        return "the plan does not belong to this program";
    if (list_used(program)) return NO_MEMORY;
    if (program->n_used * max_order > MAX_TOTALS) return "reasons would take too much memory";
    program->max_order = max_order;
    program->reason_base = base;
    return pad_points(program, quadrature);
}

Fault plan_done(Program *program) {
    if (keep_spare(program)) return NO_MEMORY;
    program->planned = 1;
    return NULL;
}

/* What a part's plan gives, as the caller has it. */
typedef struct {
    int64_t *before; /* nearest earlier edge that splits the same column, or -1 */
    double *share, *merged;
    uint16_t *level; /* of a node */
} Given;

/* The path to a stop: nodes, and the sides to which it leaves them. */
typedef struct {
    uint32_t node[MAX_DEPTH];
    uint8_t side[MAX_DEPTH];
} Path;

typedef struct {
    int32_t ref;
    uint16_t level, side;
} Turn;

/* The stop of node i at the end of a path; false where its earlier split is not on it. */
static int make_stop(const Program *program, const Trees *trees, const Given *given, uint32_t i,
                     const Path *path, Turn turn, Stop *stop) {
    int64_t before = given->before[i];
    const Node *node = trees->node + i;
    stop->node = *node;
    stop->node.bits = (node->bits & ~COLUMN) | program->place[node->bits & COLUMN];
    stop->node.above = 0;
    stop->node.way = (uint16_t)(turn.level * LEVEL + (turn.level && !turn.side ? IS_LEFT : 0) +
                                (trees->left[i] < 0 ? LEFT_LEAF : 0) +
                                (trees->right[i] < 0 ? RIGHT_LEAF : 0));
    memcpy(stop->merged, given->merged + 2 * (size_t)i, sizeof stop->merged);
    memcpy(stop->share, given->share + 2 * (size_t)i, sizeof stop->share);
    if (before < 0) return 1;
    uint16_t level = given->level[before / 2];
    stop->node.above = (uint16_t)HOLDS_AT(level, before & 1);
    return level < turn.level && path->node[level] == before / 2 &&
           path->side[level] == (before & 1);
}

/* A tree's stops and its leaves' values. */
static int make_stops(Program *program, Trees *trees, Given *given, uint32_t tree) {
    Path path;
    Turn stack[MAX_DEPTH + 2];
    Stop *stop = trees->stop + trees->first[tree];
    double *value = trees->value + trees->first[tree] + tree;
    size_t top = 0;
    stack[top++] = (Turn){(int32_t)trees->first[tree], 0, 0};
    while (top) {
        Turn turn = stack[--top];
        if (turn.level) path.side[turn.level - 1] = (uint8_t)turn.side;
        if (turn.ref < 0) {
            *value++ = (double)trees->leaf[~turn.ref];
            continue;
        }
        uint32_t i = (uint32_t)turn.ref;
        path.node[turn.level] = i;
        given->level[i] = turn.level;
        if (!make_stop(program, trees, given, i, &path, turn, stop++)) return 0;
        if (turn.level + 1u > program->max_levels) program->max_levels = turn.level + 1u;
        stack[top++] = (Turn){trees->left[i], (uint16_t)(turn.level + 1), 0};
        stack[top++] = (Turn){trees->right[i], (uint16_t)(turn.level + 1), 1};
    }
    return 1;
}

static int shares_hold(const double *share, size_t count) {
    for (size_t k = 0; k < count; k++)
        if (!(share[k] >= 0 && share[k] <= 1)) return 0;
    return 1;
}

/* Whether shares and orders are in their ranges, and earlier splits in their trees. */
static Fault given_holds(const Program *program, const Trees *trees, const Given *given) {
    size_t edges = 2 * (size_t)trees->n_nodes;
    if (!shares_hold(given->share, edges) || !shares_hold(given->merged, edges))
        return "a share of rows is not in [0, 1]";
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t first = trees->first[tree], last = trees->first[tree + 1];
        if (first == last) continue;
        if (trees->order[tree] < 1 || trees->order[tree] > program->max_order)
            return "a tree has too few or too many quadrature nodes";
        for (uint32_t i = first; i < last; i++)
            if (given->before[i] < -1 || given->before[i] >= 2 * (int64_t)i ||
                (given->before[i] >= 0 && given->before[i] < 2 * (int64_t)first))
                return "a node's earlier split is not before it in its tree";
    }
    return NULL;
}

static Fault lay_stops(Program *program, Trees *trees, Given *given) {
    Fault fault = given_holds(program, trees, given);
    if (fault) return fault;
    given->level = room(trees->n_nodes, sizeof *given->level);
    trees->stop = room(trees->n_nodes, sizeof *trees->stop);
    trees->value = room(trees->n_leaves, sizeof *trees->value);
    if (!given->level || !trees->stop || !trees->value) return NO_MEMORY;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        size_t nodes = trees->first[tree + 1] - trees->first[tree];
        if (!nodes) continue;
        if (!make_stops(program, trees, given, tree))
            return "a node's earlier split is not above it";
        size_t table = nodes * 7 * trees->order[tree];
        if (table > program->max_table) program->max_table = table;
    }
    if (keep_tables(program, trees)) return NO_MEMORY;
    program->makes_tables |= !trees->table;
    return NULL;
}

Fault plan_trees(Program *program, Trees *trees, const Array *arrays) {
    Given given = {0};
    Fault fault = NULL;
    uint32_t counts[PLAN_ARRAYS];
    const size_t sizes[PLAN_ARRAYS] = {8, 8, 8, 4};
    void *homes[PLAN_ARRAYS] = {&given.before, &given.share, &given.merged, &trees->order};
    for (int k = 0; k < PLAN_ARRAYS && !fault; k++)
        fault = copy_in(arrays + k, sizes[k], homes[k], counts + k);
    if (!fault && (counts[0] != trees->n_nodes || counts[1] != 2 * trees->n_nodes ||
                   counts[2] != 2 * trees->n_nodes || counts[3] != trees->n_trees))
        fault = "the arrays of a part's reasons differ in length";
    if (!fault) fault = lay_stops(program, trees, &given);
    free(given.before);
    free(given.share);
    free(given.merged);
    free(given.level);
    return fault;
}
