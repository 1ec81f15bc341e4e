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

/* What a row that goes to one side of a stop makes of it at four points, as node_table has it: of
 * that side what later splits of the column need, then of both sides the rates and the gains. */
typedef struct {
    Values now, first;
    Values left, right;
    Values gain_left, gain_right;
} Sides;

/* Where the column was split before, `before` is that split's level, else NULL: was is 1, had 0. */
INLINE Sides sides_at(const One *of, const Stop *stop, int right, const double *before, size_t k,
                      const size_t width) {
    Values t = at(of->points->t + k), u = at(of->points->u + k);
    Values now = t + u * same(stop->merged[right]);
    Values first = (1.0 - same(stop->merged[right])) / now;
    Values hold = now, fail = u * same(stop->merged[!right]);
    Values gain = first, gain_of_fail = at(of->points->fail + k);
    Masks goes_right = same_mask(-(int64_t)right);
    if (before) {
        Values was = at(before + NOW * width + k), had = at(before + FIRST_GAIN * width + k);
        hold = hold / was;
        fail = fail / was;
        gain = gain - had;
        gain_of_fail = gain_of_fail - had;
    }
    return (Sides){now,
                   first,
                   either(goes_right, fail, hold),
                   either(goes_right, hold, fail),
                   either(goes_right, gain_of_fail, gain),
                   either(goes_right, gain, gain_of_fail)};
}

INLINE const double *before_of_one(const One *of, const Node *node, const int quads) {
    return node->above ? level_of_one(of, node->above / 2 - 1, quads) : NULL;
}

INLINE int goes_right_of_one(const One *of, const Node *node) {
    return !goes_left(node, of->trees->words, of->row->x[node->bits & COLUMN]);
}

/* From the product `from` of the path to a stop: those of its sides, and what its sides earn. */
INLINE void enter_one(const One *of, uint32_t level, const Stop *stop, const double *from,
                      const int quads) {
    const Single *row = of->row;
    const Node *node = &stop->node;
    const size_t width = 4 * (size_t)quads;
    double *here = level_of_one(of, level, quads);
    int held = row->holds[node->above], right = goes_right_of_one(of, node);
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
    const double *before = before_of_one(of, node, quads);
    for (size_t k = 0; k < width; k += 4) {
        Values product = at(from + k);
        Sides sides = sides_at(of, stop, right, before, k, width);
        put(here + NOW * width + k, sides.now);
        put(here + FIRST_GAIN * width + k, sides.first);
        put(here + GAIN * width + k, sides.gain_left);
        put(here + (GAIN + 1) * width + k, sides.gain_right);
        put(here + OF_LEFT * width + k, product * sides.left);
        put(row->product + k, product * sides.right);
    }
}

INLINE double *earned_of_one(const One *of, const Node *node) {
    return of->row->phi + (size_t)(node->bits & COLUMN) * of->row->stride;
}

/* What the stop at `level` earns of the sum `below` its left side; `to` becomes the sum of both. */
INLINE void earn_one(const One *of, uint32_t level, const double *below, double *to,
                     const int quads) {
    const Single *row = of->row;
    const Node *node = &row->at[level]->node;
    const size_t width = 4 * (size_t)quads;
    const double *here = level_of_one(of, level, quads);
    double *earned = earned_of_one(of, node);
    int held = row->holds[node->above];
    for (size_t k = 0; k < width; k += 4) {
        Values a = at(below + k), b = at(here + BELOW_RIGHT * width + k);
        if (held)
            put(earned + k, at(earned + k) + (a * at(here + GAIN * width + k) +
                                              b * at(here + (GAIN + 1) * width + k)));
        put(to + k, a + b);
    }
}

/* A stop with a leaf on either side is entered and earns at once: `to` becomes the sum of both. */
INLINE void twig_of_one(const One *of, const Stop *stop, const double *from, const double *leaf,
                        double *to, const int quads) {
    const Node *node = &stop->node;
    const size_t width = 4 * (size_t)quads;
    Values of_right = same(leaf[0]), of_left = same(leaf[1]);
    if (!of->row->holds[node->above]) {
        Values left = same(stop->share[0]), right = same(stop->share[1]);
        for (size_t k = 0; k < width; k += 4) {
            Values product = at(from + k);
            put(to + k, product * left * of_left + product * right * of_right);
        }
        return;
    }
    const double *before = before_of_one(of, node, quads);
    double *earned = earned_of_one(of, node);
    int right = goes_right_of_one(of, node);
    for (size_t k = 0; k < width; k += 4) {
        Values product = at(from + k);
        Sides sides = sides_at(of, stop, right, before, k, width);
        Values a = product * sides.left * of_left, b = product * sides.right * of_right;
        put(earned + k, at(earned + k) + (a * sides.gain_left + b * sides.gain_right));
        put(to + k, a + b);
    }
}

INLINE void times(const double *from, double by, double *to, const int quads) {
    Values value = same(by);
    for (int k = 0; k < 4 * quads; k += 4) put(to + k, at(from + k) * value);
}

/* Where the sum of both sides of the stop at `level` goes: it is a left side itself, or a right. */
INLINE double *sum_of_one(const One *of, uint32_t level, int is_left, const int quads) {
    if (is_left) return of->row->below;
    return level_of_one(of, level - 1, quads) + BELOW_RIGHT * 4 * (size_t)quads;
}

/* Up from the stop at `level`, whose sides are summed, to one whose left side is yet to be passed;
 * whether there is one. */
INLINE int go_up_one(const One *of, uint32_t *at_level, int is_left, const int quads) {
    const Single *row = of->row;
    uint32_t level = *at_level;
    for (; level && is_left; level--) {
        is_left = row->at[level - 1]->node.way & IS_LEFT;
        earn_one(of, level - 1, row->below, sum_of_one(of, level - 1, is_left, quads), quads);
    }
    if (!level) return 0;
    *at_level = level - 1;
    return 1;
}

INLINE void tree_of_one(const One *of, const int quads) {
    const Single *row = of->row;
    const Stop *stop = of->trees->stop + of->trees->first[of->tree];
    const double *leaf = of->trees->value + of->trees->first[of->tree] + of->tree;
    const double *from = of->points->w;
    const size_t width = 4 * (size_t)quads;
    const uint32_t twig = LEFT_LEAF | RIGHT_LEAF;
    uint32_t level = 0;
    row->holds[0] = 1;
    for (;; level++, stop++) {
        int is_left = stop->node.way & IS_LEFT;
        if ((stop->node.way & twig) == twig) {
            twig_of_one(of, stop, from, leaf, sum_of_one(of, level, is_left, quads), quads);
            leaf += 2;
            if (!go_up_one(of, &level, is_left, quads)) return;
        } else {
            enter_one(of, level, stop, from, quads);
            from = row->product;
            if (!(stop->node.way & RIGHT_LEAF)) continue;
            double *below = level_of_one(of, level, quads) + BELOW_RIGHT * width;
            times(row->product, *leaf++, below, quads);
        }
        while (row->at[level]->node.way & LEFT_LEAF) {
            times(level_of_one(of, level, quads) + OF_LEFT * width, *leaf++, row->below, quads);
            level++; /* from that leaf */
            if (!go_up_one(of, &level, 1, quads)) return;
        }
        from = level_of_one(of, level, quads) + OF_LEFT * width;
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
