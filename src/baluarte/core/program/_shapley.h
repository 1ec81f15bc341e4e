/* The sealed program's kernel: Shapley values of one tree, for eight rows or one. */
#ifndef BALUARTE_KERNEL_SHAPLEY_H
#define BALUARTE_KERNEL_SHAPLEY_H

#include "_strips.h"

typedef double Lanes __attribute__((vector_size(64), may_alias));
typedef int64_t LaneMasks __attribute__((vector_size(64), may_alias));

/* Quadrature points t, u = 1 - t, weights w and -1 / u of a tree; arrays are padded to a multiple of
 * four by points of no weight. */
typedef struct {
    const double *t, *u, *w, *fail;
    int q;
} Points;

INLINE Points points_of(const Program *program, const Trees *trees, uint32_t tree) {
    uint32_t q = trees->order[tree];
    size_t at = program->points_at[q];
    return (Points){program->t + at, program->u + at, program->w + at, program->fail + at, (int)q};
}

/* Eight rows side by side and a stack: what is an array has a place a level. */
typedef struct {
    const double *x; /* (used columns, 8) */
    Lanes *phi;      /* (used columns, stride) */
    size_t stride;
    const Stop **at;
    LaneMasks *holds;       /* by HOLDS_AT: which rows satisfy all splits of the column; 0: all */
    Lanes *product, *right; /* (levels, q) of the path; sums below the right side */
    Lanes *below;           /* (q,) sums below the last side */
    const double **tables;
    double *table_room; /* (levels, 7 q) */
} Strip;

/* What one row keeps of a level: arrays of as many doubles as there are points, rounded up to four. */
enum {
    OF_LEFT,       /* the left side's product */
    BELOW_RIGHT,   /* sums below the right side */
    NOW,           /* t + u z of the side that the row goes to */
    FIRST_GAIN,    /* (1 - z) / now of it */
    GAIN,          /* left, right */
    OF_LEVEL = GAIN + 2
};

typedef struct {
    const double *x; /* (used columns,) */
    double *phi;     /* (used columns, stride) */
    size_t stride;
    const Stop **at;
    uint8_t *holds;         /* by HOLDS_AT */
    double *product, *below;
    double *levels; /* (levels + 1, OF_LEVEL, points): the first is of what lies above the root */
} Single;

/* The table of a tree's stops, 7 q numbers each. */
void fill_table(const Trees *trees, uint32_t tree, const Points *points, double *table);

/* Adds to phi what a tree's nodes earn; `table` is fill_table's, or NULL. */
void shapley_of_eight(const Trees *trees, uint32_t tree, const Points *points, const double *table,
                      const Strip *strip);
void shapley_of_one(const Trees *trees, uint32_t tree, const Points *points, const Single *row);

#endif
