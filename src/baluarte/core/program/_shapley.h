/* The sealed program's kernel: Shapley values of one tree, for eight rows or one. */
#ifndef BALUARTE_KERNEL_SHAPLEY_H
#define BALUARTE_KERNEL_SHAPLEY_H

#include "_strips.h"

typedef double Lanes __attribute__((vector_size(64), may_alias));
typedef int64_t LaneMasks __attribute__((vector_size(64), may_alias));

/* Quadrature points t, u = 1 - t and weights w of a tree; arrays are padded to a multiple of four by
 * points of no weight. */
typedef struct {
    const double *t, *u, *w;
    int q;
} Points;

/* Eight rows side by side and a stack: what is an array has a place a level. */
typedef struct {
    const double *x;       /* (used columns, 8) */
    const uint32_t *place; /* of a column among the used ones */
    Lanes *phi;            /* (used columns, stride) */
    size_t stride;
    uint32_t *at;           /* node */
    LaneMasks *holds;       /* (levels, 2): which rows satisfy all splits of the column */
    Lanes *product, *right; /* (levels, q) of the path; sums below the right side */
    Lanes *below;           /* (q,) sums below the last side */
    const double **tables;
    double *table_room; /* (levels, 7 q) */
} Strip;

typedef struct {
    uint32_t node;
    uint8_t held, holds[2];
    const double *rate[2], *gain[2];
} SingleLevel;

typedef struct {
    const double *x; /* (columns,) */
    const uint32_t *place;
    double *phi; /* (used columns, stride) */
    size_t stride;
    SingleLevel *levels;
    double *product, *right, *below; /* as of a strip, q rounded up to a multiple of four */
    double *rates;                   /* (levels, 4, q rounded up) */
} Single;

/* The table of a tree's nodes, 7 q numbers a node. */
void fill_table(const Trees *trees, uint32_t tree, const Points *points, double *table);

/* Adds to phi what a tree's nodes earn; `table` is fill_table's, or NULL. */
void shapley_of_eight(const Trees *trees, uint32_t tree, const Points *points, const double *table,
                      const Strip *strip);
void shapley_of_one(const Trees *trees, uint32_t tree, const Points *points, const Single *row);

#endif
