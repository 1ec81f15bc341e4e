/* The sealed program's kernel: Shapley values of one tree by quadrature, docs/concepts/program.md.
 *
 * A tree is walked once, right subtrees first, so that nodes earn in falling order; what is needed
 * on the way back lies in a stack of as many levels as the tree is deep. Many rows are taken eight
 * side by side, one point of the quadrature after the other; one row alone takes the points side by
 * side.
 */
#include "_shapley.h"

#include <stdlib.h>
#include <string.h>

/* ---- what no row changes -------------------------------------------------------------------- */

/* What multiplies the path's product (rate) and what a column earns of the sum below (gain). Where
 * the row satisfies the column's earlier splits on the path: of this one too (hold), or not (fail);
 * elsewhere the rate is the edge's share and nothing is earned. The gain of a fail is the same for
 * both sides. Layout: [side][hold q, gain q, fail q], gain of a fail q. */
INLINE void node_table(const Trees *trees, uint32_t i, const double *restrict t,
                       const double *restrict u, double *restrict out, const int q) {
    int64_t before = trees->before[i];
    double merged_before = before < 0 ? 1.0 : trees->merged[before];
    for (int side = 0; side < 2; side++) {
        double merged = trees->merged[2 * (size_t)i + (size_t)side];
        double *to = out + side * 3 * q;
        for (int j = 0; j < q; j++) {
            double was = before < 0 ? 1.0 : t[j] + u[j] * merged_before;
            double had = (1.0 - merged_before) / was;
            double now = t[j] + u[j] * merged;
            to[j] = now / was;
            to[q + j] = (1.0 - merged) / now - had;
            to[2 * q + j] = (u[j] * merged) / was;
            out[6 * q + j] = (-1.0 / u[j]) - had;
        }
    }
}

void fill_table(const Trees *trees, uint32_t tree, const Points *points, double *table) {
    for (uint32_t i = trees->first[tree]; i < trees->first[tree + 1]; i++, table += 7 * points->q)
        node_table(trees, i, points->t, points->u, table, points->q);
}

/* ---- eight rows ----------------------------------------------------------------------------- */

INLINE Lanes all_lanes(double x) {
    return (Lanes){x, x, x, x, x, x, x, x};
}

INLINE LaneMasks left_of_eight(const Node *node, const uint32_t *words, const double *from) {
    if (!(node->bits & SPECIAL)) {
        Lanes x = *(const Lanes *)from, cut = all_lanes(node->u.cut);
        return node->bits & NAN_LEFT ? ~(x > cut) : x <= cut;
    }
    union {
        Masks halves[2];
        LaneMasks both;
    } left = {.halves = {special_of_four(node, words, from),
                         special_of_four(node, words, from + 4)}};
    return left.both;
}

/* The rate of an edge for each row: of those that hold, of those that fail, and of the others. */
INLINE Lanes rate_of(const double *of_side, int j, const int q, LaneMasks hold, LaneMasks fail,
                     LaneMasks share) {
    return (Lanes)((hold & (LaneMasks)all_lanes(of_side[j])) |
                   (fail & (LaneMasks)all_lanes(of_side[2 * q + j])) | share);
}

INLINE LaneMasks shares(const Trees *trees, uint32_t i, int side, LaneMasks held) {
    double share = trees->share[2 * (size_t)i + (size_t)side];
    return ~held & (LaneMasks)all_lanes(share);
}

typedef struct {
    const Trees *trees;
    const Strip *strip;
    const double *table; /* of the tree, or NULL */
    uint32_t first;
    const Points *points;
} Eight;

/* Down one side of the node at `level`: to the next level, or to the sum of a leaf. */
INLINE int descend(const Eight *of, uint32_t level, int side, const int q) {
    const Strip *strip = of->strip;
    uint32_t i = strip->at[level];
    int32_t child = side ? of->trees->right[i] : of->trees->left[i];
    const LaneMasks *holds = strip->holds + 2 * level;
    const double *mine = strip->tables[level] + side * 3 * q;
    LaneMasks share = shares(of->trees, i, side, holds[0] | holds[1]);
    const Lanes *from = strip->product + (size_t)level * (size_t)q;
    Lanes *to = strip->product + (size_t)(level + 1) * (size_t)q;
    if (child >= 0) {
        strip->at[level + 1] = (uint32_t)child;
        for (int j = 0; j < q; j++)
            to[j] = from[j] * rate_of(mine, j, q, holds[side], holds[1 - side], share);
        return 1;
    }
    Lanes value = all_lanes((double)of->trees->leaf[~child]);
    to = side ? strip->right + (size_t)level * (size_t)q : strip->below;
    for (int j = 0; j < q; j++)
        to[j] = (from[j] * rate_of(mine, j, q, holds[side], holds[1 - side], share)) * value;
    return 0;
}

INLINE void enter_node(const Eight *of, uint32_t level, const int q) {
    const Trees *trees = of->trees;
    const Strip *strip = of->strip;
    uint32_t i = strip->at[level];
    const Node *node = trees->node + i;
    int32_t above = trees->above[i];
    LaneMasks held = above < 0 ? ~(LaneMasks){0} : strip->holds[above];
    LaneMasks left = left_of_eight(node, trees->words,
                                   strip->x + 8 * (size_t)strip->place[node->bits & COLUMN]);
    strip->holds[2 * level] = held & left;
    strip->holds[2 * level + 1] = held & ~left;
    if (of->table) {
        strip->tables[level] = of->table + (size_t)(i - of->first) * 7 * (size_t)q;
    } else {
        double *room = strip->table_room + (size_t)level * 7 * (size_t)q;
        node_table(trees, i, of->points->t, of->points->u, room, q);
        strip->tables[level] = room;
    }
}

/* What the node at `level` earns of the sums below its sides; `below` becomes their sum. */
INLINE void earn(const Eight *of, uint32_t level, const int q) {
    const Strip *strip = of->strip;
    uint32_t column = of->trees->node[strip->at[level]].bits & COLUMN;
    LaneMasks hold_left = strip->holds[2 * level], hold_right = strip->holds[2 * level + 1];
    const double *left = strip->tables[level] + q, *right = left + 3 * q, *fail = left + 5 * q;
    const Lanes *sums = strip->right + (size_t)level * (size_t)q;
    Lanes *earned = strip->phi + (size_t)strip->place[column] * strip->stride;
    for (int j = 0; j < q; j++) {
        LaneMasks of_fail = (LaneMasks)all_lanes(fail[j]);
        LaneMasks of_left = (LaneMasks)all_lanes(left[j]), of_right = (LaneMasks)all_lanes(right[j]);
        Lanes gain_left = (Lanes)((hold_left & of_left) | (hold_right & of_fail));
        Lanes gain_right = (Lanes)((hold_right & of_right) | (hold_left & of_fail));
        Lanes a = strip->below[j], b = sums[j];
        earned[j] += a * gain_left + b * gain_right;
        strip->below[j] = a + b;
    }
}

INLINE void tree_of_eight(const Eight *of, const int q) {
    const Strip *strip = of->strip;
    uint32_t level = 0;
    strip->at[0] = of->first;
    for (int j = 0; j < q; j++) strip->product[j] = all_lanes(of->points->w[j]);
    for (;;) {
        enter_node(of, level, q);
        if (descend(of, level, 1, q)) {
            level++;
            continue;
        }
        while (!descend(of, level, 0, q)) {
            earn(of, level, q);
            while (level && of->trees->left[strip->at[level - 1]] == (int32_t)strip->at[level])
                earn(of, --level, q);
            if (!level) return;
            level--;
            memcpy(strip->right + (size_t)level * (size_t)q, strip->below,
                   (size_t)q * sizeof(Lanes));
        }
        level++;
    }
}

/* Known orders keep a node's points in registers; each costs a second to compile, so the plain form
 * of a processor that has better has none. */
INLINE void tree_of_eight_any(const Eight *of) {
    switch (of->points->q) {
#define ORDER(q) \
    case q: \
        tree_of_eight(of, q); \
        break;
        ORDER(2)
        ORDER(3)
        ORDER(4)
        ORDER(5)
        ORDER(6)
#undef ORDER
        default:
            tree_of_eight(of, of->points->q);
    }
}

typedef void EightRows(const Eight *);

static void eight_plain(const Eight *of) {
#if defined(__x86_64__)
    tree_of_eight(of, of->points->q);
#else
    tree_of_eight_any(of);
#endif
}

#if defined(__x86_64__)
__attribute__((target(WIDE))) static void eight_wide(const Eight *of) {
    tree_of_eight_any(of);
}

__attribute__((target(WIDEST))) static void eight_widest(const Eight *of) {
    tree_of_eight_any(of);
}
#endif

void shapley_of_eight(const Trees *trees, uint32_t tree, const Points *points, const double *table,
                      const Strip *strip) {
    Eight of = {trees, strip, table, trees->first[tree], points};
    EightRows *rows = eight_plain;
#if defined(__x86_64__)
    int vectors = vectors_here();
    if (vectors == VECTORS_WIDE) rows = eight_wide;
    if (vectors == VECTORS_WIDEST) rows = eight_widest;
#endif
    rows(&of);
}

/* ---- one row -------------------------------------------------------------------------------- */

/* Points are taken four at once; those past the last have no weight. Tables would have to be read
 * from far away for one row: rates are made where they are needed. */
typedef struct {
    const Trees *trees;
    const Single *row;
    uint32_t first;
    const Points *points;
} One;

INLINE void multiply(double *restrict to, const double *a, const double *b, const int quads) {
    for (int k = 0; k < quads; k++)
        *(Unaligned *)(to + 4 * k) = at(a + 4 * k) * at(b + 4 * k);
}

INLINE int descend_one(const One *of, uint32_t level, int side, const int quads) {
    const Single *row = of->row;
    SingleLevel *here = row->levels + level;
    size_t width = 4 * (size_t)quads;
    int32_t child = side ? of->trees->right[here->node] : of->trees->left[here->node];
    const double *from = row->product + (size_t)level * width;
    if (child >= 0) {
        row->levels[level + 1].node = (uint32_t)child;
        multiply(row->product + (size_t)(level + 1) * width, from, here->rate[side], quads);
        return 1;
    }
    Values value = same((double)of->trees->leaf[~child]);
    double *to = side ? row->right + (size_t)level * width : row->below;
    for (int k = 0; k < quads; k++)
        *(Unaligned *)(to + 4 * k) =
            (at(from + 4 * k) * at(here->rate[side] + 4 * k)) * value;
    return 0;
}

/* As node_table, what a row that holds and goes to `side` needs alone: the rates of that side and
 * the other, their gains. */
INLINE void rates_of_one(const One *of, uint32_t i, int side, double *restrict room,
                         const int quads) {
    const Trees *trees = of->trees;
    int64_t before = trees->before[i];
    const Points *points = of->points;
    size_t width = 4 * (size_t)quads;
    Values to_side = same(trees->merged[2 * (size_t)i + (size_t)side]);
    Values to_other = same(trees->merged[2 * (size_t)i + (size_t)!side]);
    for (int k = 0; k < quads; k++) {
        Values t = at(points->t + 4 * k), u = at(points->u + 4 * k), had = same(0.0);
        Values now = t + u * to_side, hold = now, fail = u * to_other;
        if (before >= 0) { /* else was is 1 and had 0 */
            Values merged_before = same(trees->merged[before]), was = t + u * merged_before;
            had = (1.0 - merged_before) / was;
            hold = now / was;
            fail = fail / was;
        }
        double *to = room + 4 * k;
        *(Unaligned *)to = hold;
        *(Unaligned *)(to + width) = fail;
        *(Unaligned *)(to + 2 * width) = (1.0 - to_side) / now - had;
        *(Unaligned *)(to + 3 * width) = (-1.0 / u) - had;
    }
}

INLINE void enter_one(const One *of, uint32_t level, const int quads) {
    const Trees *trees = of->trees;
    const Single *row = of->row;
    SingleLevel *here = row->levels + level;
    uint32_t i = here->node;
    const Node *node = trees->node + i;
    int32_t above = trees->above[i];
    size_t width = 4 * (size_t)quads;
    int held = above < 0 || row->levels[above / 2].holds[above & 1];
    int right = !goes_left(node, trees->words, row->x[node->bits & COLUMN]);
    double *room = row->rates + (size_t)level * 4 * width;
    here->held = held;
    here->holds[0] = (uint8_t)(held & !right);
    here->holds[1] = (uint8_t)(held & right);
    if (!held) {
        for (int side = 0; side < 2; side++) {
            Values share = same(trees->share[2 * (size_t)i + (size_t)side]);
            here->rate[side] = room + (size_t)side * width;
            for (int k = 0; k < quads; k++)
                *(Unaligned *)(room + (size_t)side * width + 4 * k) = share;
        }
    } else {
        rates_of_one(of, i, right, room, quads);
        here->rate[right] = room;
        here->rate[!right] = room + width;
        here->gain[right] = room + 2 * width;
        here->gain[!right] = room + 3 * width;
    }
}

INLINE void earn_one(const One *of, uint32_t level, const int quads) {
    const Single *row = of->row;
    const SingleLevel *here = row->levels + level;
    uint32_t column = of->trees->node[here->node].bits & COLUMN;
    const double *sums = row->right + (size_t)level * 4 * (size_t)quads;
    double *earned = row->phi + (size_t)row->place[column] * row->stride;
    for (int k = 0; k < 4 * quads; k += 4) {
        Values a = at(row->below + k), b = at(sums + k);
        if (here->held)
            *(Unaligned *)(earned + k) =
                at(earned + k) + (a * at(here->gain[0] + k) + b * at(here->gain[1] + k));
        *(Unaligned *)(row->below + k) = a + b;
    }
}

INLINE void tree_of_one(const One *of, const int quads) {
    const Single *row = of->row;
    uint32_t level = 0;
    size_t width = 4 * (size_t)quads;
    row->levels[0].node = of->first;
    memcpy(row->product, of->points->w, width * sizeof(double));
    for (;;) {
        enter_one(of, level, quads);
        if (descend_one(of, level, 1, quads)) {
            level++;
            continue;
        }
        while (!descend_one(of, level, 0, quads)) {
            earn_one(of, level, quads);
            while (level &&
                   of->trees->left[row->levels[level - 1].node] == (int32_t)row->levels[level].node)
                earn_one(of, --level, quads);
            if (!level) return;
            level--;
            memcpy(row->right + (size_t)level * width, row->below, width * sizeof(double));
        }
        level++;
    }
}

INLINE void tree_of_one_any(const One *of) {
    int quads = (of->points->q + 3) / 4;
    if (quads == 1)
        tree_of_one(of, 1);
    else if (quads == 2)
        tree_of_one(of, 2);
    else
        tree_of_one(of, quads);
}

static void one_plain(const One *of) {
    tree_of_one_any(of);
}

#if defined(__x86_64__)
__attribute__((target(WIDE))) static void one_wide(const One *of) {
    tree_of_one_any(of);
}
#endif

void shapley_of_one(const Trees *trees, uint32_t tree, const Points *points, const Single *row) {
    One of = {trees, row, trees->first[tree], points};
#if defined(__x86_64__)
    if (vectors_here() != VECTORS_PLAIN) {
        one_wide(&of);
        return;
    }
#endif
    one_plain(&of);
}
