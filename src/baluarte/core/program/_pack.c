/* The sealed program's kernel: trees checked and packed for scoring. */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void free_trees(Trees *trees) {
    void *arrays[] = {trees->words, trees->packed, trees->tests, trees->small, trees->columns,
                      trees->value, trees->roots, trees->node, trees->left, trees->right,
                      trees->leaf, trees->first, trees->before, trees->share, trees->merged,
                      trees->order, trees->table_at, trees->table};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
}

typedef struct {
    int32_t *root, *feature, *left, *right, *set_index, *set_start;
    double *threshold, *node_cover, *leaf_cover;
    uint8_t *flags;
    uint32_t n_sets;
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

static int make_node(Node *node, const Raw *raw, uint32_t i, int rule, size_t n_features) {
    int32_t column = raw->feature[i];
    uint8_t flags = raw->flags[i];
    double threshold = raw->threshold[i];
    if (column < 0 || (size_t)column >= n_features || isnan(threshold)) return -1;
    node->child = 0;
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

/* Packs a tree from slot `at` on: children side by side, the child that more rows reach next. */
static uint32_t pack_tree(Trees *trees, const Raw *raw, int32_t root, uint32_t at) {
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
        double of_left = left < 0 ? raw->leaf_cover[~left] : raw->node_cover[left];
        double of_right = right < 0 ? raw->leaf_cover[~right] : raw->node_cover[right];
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

static int pack(Trees *trees, const Raw *raw) {
    size_t slots = 2 * ((size_t)trees->n_nodes + trees->n_trees);
    trees->packed_bytes = slots * sizeof(Node);
    trees->packed = aligned_alloc(64, (trees->packed_bytes + 63) / 64 * 64 + 64);
    trees->value = room(slots, sizeof(int64_t));
    trees->roots = room(trees->n_trees, sizeof(uint32_t));
    uint32_t *at = room(trees->n_trees, sizeof(uint32_t));
    if (!trees->packed || !trees->value || !trees->roots || !at) {
        free(at);
        return -1;
    }
    uint32_t next = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        at[tree] = next;
        next = pack_tree(trees, raw, raw->root[tree], next);
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
    if (!trees->first || !trees->node) return NO_MEMORY;
    if (!order_holds(trees, raw)) return "nodes are not in canonical order or too deep";
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
        if (make_small(trees, program->n_features) || pack(trees, &raw)) fault = NO_MEMORY;
        raw.left = raw.right = NULL;
    }
    free_raw(&raw);
    return fault;
}
