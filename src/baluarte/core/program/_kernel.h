/* The sealed program's kernel: what its files share. docs/concepts/program.md specifies every rule;
 * the NumPy evaluator beside these files gives the same bits.
 *
 *   _kernel.c    the Python module          _trees.c    scores of trees     _linear.c   linear parts
 *   _program.c   parts, blocks, threads     _walk.c     walked              _reasons.c  reasons
 *   _pack.c      trees made ready           _strips.c   rows side by side   _shapley.c  of a tree
 *   _dense.c     kernel machines, networks, stacks                          _plan.c     made ready
 *
 * Only _kernel.c knows Python. A program copies checked arrays into a layout of its own and checks
 * again whatever memory safety and termination rest on, so that no program, however it was made,
 * can crash or hang the process. Integer sums have no order, so rows, trees and threads may be taken
 * in any; floating point here is only compared or evaluated in the stated order, never contracted
 * (-ffp-contract=off).
 */
#ifndef BALUARTE_KERNEL_H
#define BALUARTE_KERNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__)
#error "the kernel's bits need IEEE-754 arithmetic: build without -ffast-math"
#endif

#define MAX_DEPTH 1024
#define MAX_FEATURES (1 << 20)
#define MAX_NODES (1u << 26)
#define MAX_SUM (1LL << 60)
#define MAX_SCORE 9007199254740991LL /* 2**53 - 1 */
#define BLOCK 2048      /* rows at most in a block */
#define LANES 8         /* trees in flight for one row */
#define SMALL_LEAVES 64 /* a bit a leaf */

#define INLINE static inline __attribute__((always_inline))

/* What is wrong, in words; NULL where nothing is. */
typedef const char *Fault;
extern const char NO_MEMORY[];

/* Contiguous items that a caller lends. */
typedef struct {
    const void *items;
    size_t size, bytes; /* of an item, of all */
} Array;

/* Working memory that a program keeps for one row, lent to one caller at a time. */
typedef struct {
    atomic_flag lent;
    size_t bytes;
    void *memory;
} Spare;

/* The kinds of parts: trees by the rule of the library they are of, and others. */
enum {
    LIGHTGBM = 0,
    SKLEARN = 1,
    XGBOOST = 2,
    LINEAR = 3,
    KERNEL_MACHINE = 4,
    NETWORK = 5,
    STACK = 6,
    N_KINDS = 7
};

/* Flags of a stored node: model.py. */
enum { MISSING_LEFT = 1, MISSING_ZERO = 2, MISSING_NAN = 4, CATEGORICAL = 8 };

/* Flags of a node, above the column. */
#define COLUMN 0x00FFFFFFu
#define NAN_LEFT 0x01000000u
#define ZERO 0x04000000u /* |x| <= 1e-35f is missing */
#define SET 0x08000000u  /* membership in a set decides */
#define FLOAT_SET 0x10000000u /* xgboost's sets: x as float32, members go right */
#define SPECIAL (ZERO | SET)

/* LightGBM, include/LightGBM/meta.h: const double kZeroThreshold = 1e-35f */
#define ZERO_THRESHOLD ((double)1e-35f)


typedef struct {
    union {
        double cut; /* x <= cut goes left, whatever the rule: see cut_of */
        struct {
            uint32_t start, n_bits;
        } set;
    } u;
    uint32_t bits;       /* column and flags */
    uint16_t above, way; /* of a stop */
} Node;

/* A node as reasons pass it. They take right subtrees first, so that nodes earn in falling order, and
 * stops lie in the order in which they are passed, as do leaves: a row reads on and on. A stop's
 * column is a place among the used ones; `above` is where its path holds by the column's earlier
 * split, 0 where there is none; `way` is its level and flags. */
typedef struct {
    Node node;
    double merged[2], share[2]; /* left, right */
} Stop;

enum { LEFT_LEAF = 1, RIGHT_LEAF = 2, IS_LEFT = 4, LEVEL = 8 };
#define HOLDS_AT(level, side) (2u * (level) + 2u + (side))

/* Trees walked: see _walk.c. A right child follows its left sibling; leaves step onto themselves. */
typedef struct {
    uint32_t test, next;
} Step;

typedef struct {
    uint32_t column, first, n_cuts; /* its cuts, ascending */
    uint32_t variants, slot[4];     /* a bit and a slot a way to take what is missing */
} Column;

typedef struct {
    Step *steps;    /* NULL where there are too many cuts for codes */
    int64_t *value; /* of steps that are leaves */
    uint32_t *roots;
    Column *columns;
    double *cuts;
    uint32_t n_columns, n_slots, slot_bits, slot_mask;
    int with_sets;
    Spare *spare; /* a row's codes, where they are many; else NULL */
} Walk;

/* Trees of at most 64 leaves, for strips of rows: see _strips.c. */
typedef struct {
    union {
        double cut;
        int64_t right; /* the categories that go right, a bit each: see hot_of */
    } u;
    int64_t keep;    /* leaves that stay where a row goes right */
    uint32_t column; /* in units of a strip */
    uint32_t node;   /* in canonical order, for special nodes */
} Test;

typedef struct {
    uint32_t first, nan_left, sets, special, end; /* tests: NaN goes right, NaN goes left, … */
    uint32_t leaf;                                /* the first */
} Small;

typedef struct {
    uint32_t n_nodes, n_leaves, n_trees;
    uint32_t *words; /* category sets */
    /* for scores */
    uint32_t *order_of_trees; /* small ones first, then by depth */
    Walk walk;
    Test *tests;
    Small *small;
    uint32_t n_small;
    uint32_t *columns; /* that the tests read: as numbers, then as categories */
    uint32_t n_columns, n_numbers;
    int float_sets;
    size_t packed_bytes;
    /* in canonical order */
    Node *node;
    int32_t *left, *right;
    int64_t *leaf;
    uint32_t *first; /* (n_trees + 1,) first node of each tree */
    /* reasons; NULL until plan() */
    Stop *stop;      /* of tree k from first[k] on */
    double *value;   /* of leaves, as stops pass them: of tree k from first[k] + k on */
    uint32_t *order; /* (n_trees,) quadrature nodes */
    size_t *table_at;
    double *table;
} Trees;

typedef struct {
    uint32_t n_numeric, n_tables;
    int32_t *column, *table_column, *table_start, *cut_start;
    double *center, *scale, *low, *high, *weight, *cut;
    int64_t *missing, *mean, *table_value, *table_missing, *table_other, *table_mean;
} Linear;

typedef struct {
    uint32_t n_numeric, n_flags, n_inputs;
    int32_t *column, *flag_column, *code;
    double *center, *scale, *low, *high, *missing, *on, *off;
    /* kernel machines */
    int degree, shift; /* degree 0: radial */
    double gamma, coef0;
    uint32_t n_vectors;
    double *vector; /* (n_vectors / WIDTH, n_inputs, WIDTH) */
    double *weight; /* padded by zeros */
    /* networks */
    uint32_t n_layers, widest;  /* the widest layer, its units rounded up to whole vectors */
    int32_t *size, *activation;
    double *layer_weight, *bias; /* units padded by zeros to whole vectors */
    double output;
    /* stacks */
    uint32_t n_members;
    int32_t *link;
    double *member_weight, *member_scale;
    struct Program **member;
    Spare *spare; /* a row's numbers, where they are many; else NULL */
} Dense;

typedef struct {
    int kind;
    Trees trees; /* empty where the part is of another kind, as are the others */
    Linear linear;
    Dense dense;
} Part;

typedef struct Program {
    size_t n_features;
    int64_t base;
    size_t n_parts;
    Part *parts;
    int64_t largest_sum, largest_dense; /* of absolute terms; of dense parts' terms */
    size_t packed_bytes;
    size_t rows_a_block;
    size_t cost; /* about how many nodes, terms and products a row takes */
    /* reasons */
    int planned;
    int64_t reason_base;
    uint32_t max_order, max_levels;
    size_t max_table; /* of a tree */
    size_t tables_kept; /* doubles, of all parts */
    int makes_tables; /* some part keeps none */
    size_t n_used;
    uint32_t *used, *place; /* columns; of a column, its place among them */
    double *t, *u, *w;      /* quadrature of order q starts at points_at[q] */
    double *fail;           /* -1 / u */
    size_t *points_at;
    Spare *spare; /* of a row's reasons; NULL where that would be much */
} Program;

/* ---- _program.c: parts, blocks of rows, threads ---------------------------------------------- */

void *room(size_t count, size_t size); /* zeroed; NULL where there is none */

/* A spare of so many bytes, NULL where there is no memory; `borrow` takes it for a row, or else
 * memory of its own; NULL where there is none. All aligned for vectors. */
Spare *spare_new(size_t bytes);
void spare_free(Spare *spare);
void *borrow(Spare *spare, size_t bytes);
void give_back(Spare *spare, void *memory);

/* Copies an array of items of `size` bytes and counts them. */
Fault copy_in(const Array *array, size_t size, void *out, uint32_t *count);

/* Adds the largest absolute terms of a part to `total`; -1 above MAX_SUM. */
int count_term(int64_t term, int64_t *largest);
int count_sum(int64_t largest, int64_t *total);

int ranges_hold(const int32_t *start, uint32_t count, uint32_t n_ranges, uint32_t n_items);
int columns_hold(const int32_t *column, uint32_t count, size_t n_features);

/* A program of `n_parts` parts, yet empty; NULL and a fault where there is none. */
Program *program_new(int64_t n_features, int64_t base, size_t n_parts, Fault *fault);

/* The part at `at`, of `kind`, from its arrays in the order of format.py. */
Fault program_read(Program *program, size_t at, int64_t kind, const Array *arrays, size_t count);

/* Makes a program the next member of the stack at `at`, which owns it from then on. */
Fault program_join(Program *program, size_t at, uint32_t place, Program *member);

void program_free(Program *program);

/* The first `n` rows' scores, of at most BLOCK rows; -1 where there is no memory. */
int score_block(const Program *program, const double *X, size_t n, int64_t *scores);

/* What is done with rows: 0, or -1 where there is no memory. */
typedef int Work(const Program *program, const double *X, size_t n, int64_t *out);
Work score_rows, reasons_rows;

/* Rows split into one run a thread, each of `rows_a_thread` at least and `width` numbers a row; 0, or
 * -1 where there is no memory, -2 where the floating-point environment can't be set. */
int run(Work *work, const Program *program, const double *X, size_t n, int64_t *out, size_t width,
        size_t threads, size_t rows_a_thread);

/* ---- trees: _trees.c, _pack.c, _walk.c, _strips.c --------------------------------------------- */

enum { TREE_ARRAYS = 12 };
Fault read_trees(Program *program, Part *part, const Array *arrays, int64_t *total);
void score_trees(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums);
void free_trees(Trees *trees);

/* Adds to `sums` the trees from `first` on in order_of_trees. */
void walk_trees(const Trees *trees, uint32_t first, const double *X, size_t d, size_t n,
                int64_t *sums);
int make_small(Trees *trees, size_t n_features);
int make_walk(Trees *trees, const double *node_cover, const double *leaf_cover, size_t n_features);
void free_walk(Walk *walk);

/* Adds to `sums` the small trees; false where there is no memory for it. */
int score_small(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums);

/* The largest float64 that goes left where x is first rounded to float32 and then compared with
 * t by <= (or by <): rounding is monotone, so `x <= cut_of(t)` decides the same for every x. */
double cut_of(double t, int strict);

/* Whether a value goes left at a node whose flags are in SPECIAL. */
int goes_left_special(const Node *node, const uint32_t *words, double x);

INLINE int goes_left_plain(const Node *node, double x) {
    return (x <= node->u.cut) | ((x != x) & (int)((node->bits & NAN_LEFT) != 0));
}

INLINE int goes_left(const Node *node, const uint32_t *words, double x) {
    if (node->bits & SPECIAL) return goes_left_special(node, words, x);
    return goes_left_plain(node, x);
}

/* ---- _linear.c -------------------------------------------------------------------------------- */

enum { LINEAR_ARRAYS = 16 };
Fault read_linear(Program *program, Part *part, const Array *arrays, int64_t *total);
void score_linear(const Linear *linear, const double *X, size_t d, size_t n, int64_t *sums);
void reasons_of_linear(const Linear *linear, const double *row, int64_t *phi);
void free_linear(Linear *linear);

/* ---- _dense.c --------------------------------------------------------------------------------- */

enum { KERNEL_ARRAYS = 14, NETWORK_ARRAYS = 15, STACK_ARRAYS = 3 };
Fault read_dense(Program *program, Part *part, const Array *arrays, int64_t *total);
Fault join_stack(Dense *dense, uint32_t place, Program *member, int64_t *total);
int score_dense(const Part *part, const double *X, size_t d, size_t n, int64_t *sums);
void free_dense(Dense *dense);

/* ---- reasons: _plan.c, _reasons.c ------------------------------------------------------------- */

/* Keeps memory for one row's reasons, where that is little; -1 where there is none. */
int keep_spare(Program *program);

/* Makes a program ready for reasons: `quadrature` is t, u = 1 - t and the weights w of orders
 * 1 .. max_order, one after another. */
Fault plan_program(Program *program, int64_t base, uint32_t max_order, const Array *quadrature);

/* After plan_trees of all parts of trees: the program is ready. */
Fault plan_done(Program *program);

enum { PLAN_ARRAYS = 4 };
/* (before, share, merged, order) of a part of trees. */
Fault plan_trees(Program *program, Trees *trees, const Array *arrays);

#endif
