/* The sealed program's kernel: trees checked and packed for scoring. */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void free_trees(Trees *trees) {
    void *arrays[] = {trees->words, trees->order_of_trees, trees->tests, trees->small, trees->columns,
                      trees->node, trees->left, trees->right,
                      trees->leaf, trees->first, trees->stop, trees->value, trees->order,
                      trees->table_at, trees->table};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
    free_walk(&trees->walk);
}

typedef struct {
    int32_t *root, *feature, *left, *right, *set_index, *set_start;
    double *threshold, *node_cover, *leaf_cover;
    uint8_t *flags;
    uint32_t n_sets, *depth;
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
    free(raw->leaf_cover);
    free(raw->depth);
    free(raw->flags);
}

/* Canonical order (parent, left subtree, right subtree; leaves left to right), which leaves no
 * room for cycles or sharing. Fills first and each tree's depth. */
static int order_holds(Trees *trees, const Raw *raw, uint32_t *deepest) {
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
            if (level >= deepest[tree]) deepest[tree] = level + 1;
            stack[top] = raw->right[ref];
            depth[top++] = level + 1;
            stack[top] = raw->left[ref];
            depth[top++] = level + 1;
        }
    }
    trees->first[trees->n_trees] = next_node;
    return next_node == trees->n_nodes && next_leaf == trees->n_leaves;
}

static int make_node(Node *node, const Raw *raw, uint32_t i, int rule, size_t n_features) {
    int32_t column = raw->feature[i];
    uint8_t flags = raw->flags[i];
    double threshold = raw->threshold[i];
    if (column < 0 || (size_t)column >= n_features || isnan(threshold)) return -1;
    node->bits = (uint32_t)column | (flags & MISSING_LEFT ? NAN_LEFT : 0);
    if (flags & CATEGORICAL) {
        int32_t set = raw->set_index[i];
        if (rule == SKLEARN || set < 0 || (uint32_t)set >= raw->n_sets) return -1;
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

/* Trees of few leaves first, then by depth: those in flight together arrive together. */
static int order_trees(Trees *trees, const uint32_t *depth) {
    uint32_t *starts = room(2 * (MAX_DEPTH + 2), sizeof(uint32_t));
    trees->order_of_trees = room(trees->n_trees, sizeof(uint32_t));
    if (!starts || !trees->order_of_trees) {
        free(starts);
        return -1;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
            uint32_t large = trees->first[tree + 1] - trees->first[tree] >= SMALL_LEAVES;
            uint32_t key = large * (MAX_DEPTH + 1) + depth[tree];
            if (pass)
                trees->order_of_trees[starts[key]++] = tree;
            else
                starts[key + 1]++;
        }
        for (uint32_t key = 1; !pass && key < 2 * (MAX_DEPTH + 2); key++)
            starts[key] += starts[key - 1];
    }
    free(starts);
    return 0;
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


/* root, feature, threshold, left, right, flags, set_index, set_start, set_bits, leaf, node_cover,
 * leaf_cover */
static Fault read_raw(Program *program, Trees *trees, Raw *raw, const Array *arrays, int kind) {
    uint32_t counts[TREE_ARRAYS];
    const struct {
        size_t size;
        void *home;
    } items[TREE_ARRAYS] = {
        {4, &raw->root},      {4, &raw->feature},   {8, &raw->threshold}, {4, &raw->left},
        {4, &raw->right},     {1, &raw->flags},     {4, &raw->set_index}, {4, &raw->set_start},
        {4, &trees->words},   {8, &trees->leaf},    {8, &raw->node_cover}, {8, &raw->leaf_cover},
    };
    for (int k = 0; k < TREE_ARRAYS; k++) {
        Fault fault = copy_in(arrays + k, items[k].size, items[k].home, counts + k);
        if (fault) return fault;
    }
    uint32_t n = counts[1];
    for (int k = 2; k < 11; k++)
        if ((k < 7 || k == 10) && counts[k] != n)
            return "the arrays of nodes have different lengths";
    raw->n_sets = counts[7] - 1;
    trees->n_trees = counts[0];
    trees->n_leaves = counts[9];
    if (counts[11] != trees->n_leaves || counts[7] < 1 || n > MAX_NODES ||
        trees->n_leaves > MAX_NODES || trees->n_trees > MAX_NODES ||
        !ranges_hold(raw->set_start, counts[7], raw->n_sets, counts[8]))
        return "a part of trees is malformed";
    trees->n_nodes = n;
    trees->first = room((size_t)trees->n_trees + 1, sizeof(uint32_t));
    trees->node = room(n, sizeof(Node));
    raw->depth = room(trees->n_trees, sizeof(uint32_t));
    if (!trees->first || !trees->node || !raw->depth) return NO_MEMORY;
    if (!order_holds(trees, raw, raw->depth)) return "nodes are not in canonical order or too deep";
    for (uint32_t i = 0; i < n; i++)
        if (make_node(trees->node + i, raw, i, kind, program->n_features))
            return "a node names no column, no set or no threshold";
    return NULL;
}

Fault read_trees(Program *program, Part *part, const Array *arrays, int64_t *total) {
    Trees *trees = &part->trees;
    Raw raw = {0};
    Fault fault = read_raw(program, trees, &raw, arrays, part->kind);
    if (!fault && !trees_fit(trees, &raw, total)) fault = "the leaves of trees are too large";
    if (!fault) {
        trees->left = raw.left;
        trees->right = raw.right;
        if (order_trees(trees, raw.depth) || make_small(trees, program->n_features) ||
            make_walk(trees, raw.node_cover, raw.leaf_cover, program->n_features))
            fault = NO_MEMORY;
        raw.left = raw.right = NULL;
    }
    free_raw(&raw);
    return fault;
}
