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
INLINE void node_table(const Stop *stop, const Stop *const *at, const double *restrict t,
                       const double *restrict u, double *restrict out, const int q) {
    uint32_t above = stop->node.above;
    double merged_before = above ? at[above / 2 - 1]->merged[above & 1] : 1.0;
    for (int side = 0; side < 2; side++) {
        double merged = stop->merged[side];
        double *to = out + side * 3 * q;
        for (int j = 0; j < q; j++) {
            double was = above ? t[j] + u[j] * merged_before : 1.0;
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
    const Stop *at[MAX_DEPTH], *end = trees->stop + trees->first[tree + 1];
    for (const Stop *stop = trees->stop + trees->first[tree]; stop < end; stop++) {
        at[stop->node.way / LEVEL] = stop;
        node_table(stop, at, points->t, points->u, table, points->q);
        table += 7 * points->q;
    }
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

INLINE LaneMasks shares(const Stop *stop, int side, LaneMasks held) {
    return ~held & (LaneMasks)all_lanes(stop->share[side]);
}

typedef struct {
    const Trees *trees;
    const Strip *strip;
    const double *table; /* of the tree, or NULL */
    uint32_t tree;
    const Points *points;
} Eight;

/* Down one side of the stop at `level`: products of the next level. */
INLINE void go_down(const Eight *of, uint32_t level, int side, const int q) {
    const Strip *strip = of->strip;
    const LaneMasks *holds = strip->holds + HOLDS_AT(level, 0);
    const double *mine = strip->tables[level] + side * 3 * q;
    LaneMasks share = shares(strip->at[level], side, holds[0] | holds[1]);
    const Lanes *from = strip->product + (size_t)level * (size_t)q;
    Lanes *to = strip->product + (size_t)(level + 1) * (size_t)q;
    for (int j = 0; j < q; j++)
        to[j] = from[j] * rate_of(mine, j, q, holds[side], holds[1 - side], share);
}

/* To a leaf of the stop at `level`: sums. */
INLINE void go_to_leaf(const Eight *of, uint32_t level, int side, double leaf, Lanes *to,
                       const int q) {
    const Strip *strip = of->strip;
    const LaneMasks *holds = strip->holds + HOLDS_AT(level, 0);
    const double *mine = strip->tables[level] + side * 3 * q;
    LaneMasks share = shares(strip->at[level], side, holds[0] | holds[1]);
    const Lanes *from = strip->product + (size_t)level * (size_t)q;
    Lanes value = all_lanes(leaf);
    for (int j = 0; j < q; j++)
        to[j] = (from[j] * rate_of(mine, j, q, holds[side], holds[1 - side], share)) * value;
}

INLINE void enter_node(const Eight *of, uint32_t level, const Stop *stop, const int q) {
    const Strip *strip = of->strip;
    const Node *node = &stop->node;
    LaneMasks held = strip->holds[node->above];
    LaneMasks left = left_of_eight(node, of->trees->words,
                                   strip->x + 8 * (size_t)(node->bits & COLUMN));
    strip->at[level] = stop;
    strip->holds[HOLDS_AT(level, 0)] = held & left;
    strip->holds[HOLDS_AT(level, 1)] = held & ~left;
    if (of->table) {
        size_t i = (size_t)(stop - (of->trees->stop + of->trees->first[of->tree]));
        strip->tables[level] = of->table + i * 7 * (size_t)q;
    } else {
        double *room = strip->table_room + (size_t)level * 7 * (size_t)q;
        node_table(stop, strip->at, of->points->t, of->points->u, room, q);
        strip->tables[level] = room;
    }
}

/* What the stop at `level` earns of the sums below its sides; `to` becomes their sum. */
INLINE void earn(const Eight *of, uint32_t level, Lanes *to, const int q) {
    const Strip *strip = of->strip;
    size_t place = strip->at[level]->node.bits & COLUMN;
    LaneMasks hold_left = strip->holds[HOLDS_AT(level, 0)];
    LaneMasks hold_right = strip->holds[HOLDS_AT(level, 1)];
    const double *left = strip->tables[level] + q, *right = left + 3 * q, *fail = left + 5 * q;
    const Lanes *sums = strip->right + (size_t)level * (size_t)q;
    Lanes *earned = strip->phi + place * strip->stride;
    for (int j = 0; j < q; j++) {
        LaneMasks of_fail = (LaneMasks)all_lanes(fail[j]);
        LaneMasks of_left = (LaneMasks)all_lanes(left[j]), of_right = (LaneMasks)all_lanes(right[j]);
        Lanes gain_left = (Lanes)((hold_left & of_left) | (hold_right & of_fail));
        Lanes gain_right = (Lanes)((hold_right & of_right) | (hold_left & of_fail));
        Lanes a = strip->below[j], b = sums[j];
        earned[j] += a * gain_left + b * gain_right;
        to[j] = a + b;
    }
}

/* From a left leaf up to where a left side is yet to be passed; whether there is one. */
INLINE int go_up(const Eight *of, uint32_t *at_level, const int q) {
    const Strip *strip = of->strip;
    uint32_t level = *at_level;
    while (strip->at[level]->node.way & IS_LEFT) earn(of, level--, strip->below, q);
    if (!level) return earn(of, 0, strip->below, q), 0;
    earn(of, level, strip->right + (size_t)(level - 1) * (size_t)q, q);
    *at_level = level - 1;
    return 1;
}

INLINE void tree_of_eight(const Eight *of, const int q) {
    const Strip *strip = of->strip;
    const Stop *stop = of->trees->stop + of->trees->first[of->tree];
    const double *leaf = of->trees->value + of->trees->first[of->tree] + of->tree;
    uint32_t level = 0;
    strip->holds[0] = ~(LaneMasks){0};
    for (int j = 0; j < q; j++) strip->product[j] = all_lanes(of->points->w[j]);
    for (;; level++, stop++) {
        enter_node(of, level, stop, q);
        if (!(stop->node.way & RIGHT_LEAF)) {
            go_down(of, level, 1, q);
            continue;
        }
        go_to_leaf(of, level, 1, *leaf++, strip->right + (size_t)level * (size_t)q, q);
        while (strip->at[level]->node.way & LEFT_LEAF) {
            go_to_leaf(of, level, 0, *leaf++, strip->below, q);
            if (!go_up(of, &level, q)) return;
        }
        go_down(of, level, 0, q);
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
    Eight of = {trees, strip, table, tree, points};
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
    uint32_t tree;
    const Points *points;
} One;

INLINE double *level_of_one(const One *of, uint32_t level, const int quads) {
    return of->row->levels + (size_t)(level + 1) * (OF_LEVEL * 4 * (size_t)quads);
}

INLINE void put(double *to, Values x) {
    *(Unaligned *)to = x;
}

INLINE Values either(Masks which, Values x, Values y) {
    return (Values)((which & (Masks)x) | (~which & (Masks)y));
}

/* From the product `from` of the path to a stop: those of its sides, and what its sides earn. As
 * node_table has it, of what a row that goes to one side needs alone. Where the column was split
 * before, that split's side had `now` and first gain that are needed again here. */
INLINE void enter_one(const One *of, uint32_t level, const Stop *stop, const double *from,
                      const int quads) {
    const Single *row = of->row;
    const Node *node = &stop->node;
    const size_t width = 4 * (size_t)quads;
    uint32_t above = node->above;
    double *here = level_of_one(of, level, quads);
    int held = row->holds[above];
    int right = !goes_left(node, of->trees->words, row->x[node->bits & COLUMN]);
    row->at[level] = stop;
    row->holds[HOLDS_AT(level, 0)] = (uint8_t)(held & !right);
    row->holds[HOLDS_AT(level, 1)] = (uint8_t)(held & right);
    if (!held) {
        Values left = same(stop->share[0]);
        Values other = same(stop->share[1]);
        for (size_t k = 0; k < width; k += 4) {
            Values product = at(from + k);
            put(here + OF_LEFT * width + k, product * left);
            put(row->product + k, product * other);
        }
        return;
    }
    const double *before = level_of_one(of, above / 2 - 1, quads);
    Values to_side = same(stop->merged[right]), to_other = same(stop->merged[!right]);
    Masks goes_right = same_mask(-(int64_t)right);
    for (size_t k = 0; k < width; k += 4) {
        Values product = at(from + k), t = at(of->points->t + k), u = at(of->points->u + k);
        Values now = t + u * to_side, first = (1.0 - to_side) / now, gain = first;
        Values hold = now, fail = u * to_other, gain_of_fail = at(of->points->fail + k);
        if (above) { /* else was is 1 and had 0 */
            Values was = at(before + NOW * width + k), had = at(before + FIRST_GAIN * width + k);
            hold = hold / was;
            fail = fail / was;
            gain = gain - had;
            gain_of_fail = gain_of_fail - had;
        }
        put(here + NOW * width + k, now);
        put(here + FIRST_GAIN * width + k, first);
        put(here + (GAIN + (size_t)right) * width + k, gain);
        put(here + (GAIN + (size_t)!right) * width + k, gain_of_fail);
        put(here + OF_LEFT * width + k, product * either(goes_right, fail, hold));
        put(row->product + k, product * either(goes_right, hold, fail));
    }
}

/* What the stop at `level` earns of the sum `below` its left side; `to` becomes the sum of both. */
INLINE void earn_one(const One *of, uint32_t level, const double *below, double *to,
                     const int quads) {
    const Single *row = of->row;
    const Node *node = &row->at[level]->node;
    const size_t width = 4 * (size_t)quads;
    const double *here = level_of_one(of, level, quads);
    double *earned = row->phi + (size_t)(node->bits & COLUMN) * row->stride;
    int held = row->holds[node->above];
    for (size_t k = 0; k < width; k += 4) {
        Values a = at(below + k), b = at(here + BELOW_RIGHT * width + k);
        if (held)
            put(earned + k, at(earned + k) + (a * at(here + GAIN * width + k) +
                                              b * at(here + (GAIN + 1) * width + k)));
        put(to + k, a + b);
    }
}

INLINE void times(const double *from, double by, double *to, const int quads) {
    Values value = same(by);
    for (int k = 0; k < 4 * quads; k += 4) put(to + k, at(from + k) * value);
}

INLINE void tree_of_one(const One *of, const int quads) {
    const Single *row = of->row;
    const Stop *stop = of->trees->stop + of->trees->first[of->tree];
    const double *leaf = of->trees->value + of->trees->first[of->tree] + of->tree;
    const double *from = of->points->w;
    const size_t width = 4 * (size_t)quads;
    uint32_t level = 0;
    row->holds[0] = 1;
    for (;; level++, stop++) {
        enter_one(of, level, stop, from, quads);
        if (!(stop->node.way & RIGHT_LEAF)) {
            from = row->product;
            continue;
        }
        double *here = level_of_one(of, level, quads);
        times(row->product, *leaf++, here + BELOW_RIGHT * width, quads);
        while (row->at[level]->node.way & LEFT_LEAF) {
            times(here + OF_LEFT * width, *leaf++, row->below, quads);
            for (int is_left = 1; is_left; level--) {
                is_left = row->at[level]->node.way & IS_LEFT;
                here = level_of_one(of, level - 1, quads);
                earn_one(of, level, row->below, is_left ? row->below : here + BELOW_RIGHT * width,
                         quads);
                if (!level) return;
            }
        }
        from = here + OF_LEFT * width;
    }
}

INLINE void tree_of_one_any(const One *of) {
    int quads = (of->points->q + 3) / 4;
    if (quads == 1)
        tree_of_one(of, 1);
    else if (quads == 2)
        tree_of_one(of, 2);
    else if (quads == 3)
        tree_of_one(of, 3);
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
    One of = {trees, row, tree, points};
#if defined(__x86_64__)
    if (vectors_here() != VECTORS_PLAIN) {
        one_wide(&of);
        return;
    }
#endif
    one_plain(&of);
}
