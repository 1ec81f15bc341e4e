/* The sealed program's kernel: reasons of rows in whole units, and what they need once. */
#include "_shapley.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_STRIP 5           /* fewer are taken one by one */
#define MOST_STRIPS 8            /* in a block: as many rows share a tree's table */
#define SUMS_OF_BLOCK (1u << 17) /* doubles at most */
#define SUMS_OF_STRIP (1u << 21) /* more, and rows are taken one by one */
#define TABLE_OF_BLOCK (1u << 19)
#define SPARE_KEPT ((size_t)1 << 24) /* bytes, of one row */

/* ---- whole units ---------------------------------------------------------------------------- */

/* Heap order: the smaller fraction first, then the larger column. */
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

/* Largest remainder: whole parts first, then one unit more to the largest fractions. `sums`,
 * `fraction` and `rank` are of the used columns. */
static void apportion(const Program *program, int64_t target, const double *sums, int64_t *phi,
                      double *fraction, uint32_t *rank) {
    size_t used = program->n_used;
    if (!used) return;
    for (size_t k = 0; k < used; k++) {
        int64_t *mine = phi + program->used[k];
        double whole = floor(sums[k]);
        if (!(fabs(whole) <= 0x1p62)) whole = 0.0; /* only of a plan that is not this program's */
        fraction[k] = sums[k] - whole;
        target -= *mine + (int64_t)whole;
        *mine += (int64_t)whole;
        rank[k] = (uint32_t)k;
    }
    int64_t count = (int64_t)used, each = target / count, rest = target % count;
    if (rest < 0) {
        rest += count;
        each -= 1;
    }
    if (each)
        for (size_t k = 0; k < used; k++) phi[program->used[k]] += each;
    for (size_t k = used / 2; k-- > 0;) sift(fraction, rank, k, used);
    for (size_t n = used; rest > 0; rest--) {
        phi[program->used[rank[0]]] += 1;
        rank[0] = rank[--n];
        sift(fraction, rank, 0, n);
    }
}

/* ---- blocks of rows ------------------------------------------------------------------------- */

typedef struct {
    Strip strip;
    Single single;
    size_t n_strips, width; /* of a block, 0 where rows are taken one by one; doubles of a strip */
    size_t block, n_sums;   /* rows at once, and their doubles */
    double *x, *phi, *table;
    size_t table_room;
    double *sums, *fraction; /* of a row's used columns */
    uint32_t *rank;
    int64_t scores[8 * MOST_STRIPS];
    void *memory;
} Scratch;

/* A tree's table: kept, made here where it fits and many rows want it, or NULL. */
static const double *table_of(const Trees *trees, uint32_t tree, const Points *points, size_t n,
                              const Scratch *scratch) {
    size_t size = (size_t)(trees->first[tree + 1] - trees->first[tree]) * 7 * (size_t)points->q;
    if (trees->table) return trees->table + trees->table_at[tree];
    if (n <= 8 || size > scratch->table_room) return NULL;
    fill_table(trees, tree, points, scratch->table);
    return scratch->table;
}

static void reasons_of_trees(const Program *program, const Trees *trees, size_t n,
                             Scratch *scratch) {
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        if (trees->first[tree] == trees->first[tree + 1]) continue;
        Points points = points_of(program, trees, tree);
        if (n < ROWS_A_STRIP) {
            for (size_t i = 0; i < n; i++) {
                scratch->single.x = scratch->x + i * program->n_used;
                scratch->single.phi = scratch->phi + i * program->n_used * scratch->single.stride;
                shapley_of_one(trees, tree, &points, &scratch->single);
            }
            continue;
        }
        const double *table = table_of(trees, tree, &points, n, scratch);
        for (size_t s = 0; 8 * s < n; s++) {
            scratch->strip.x = scratch->x + s * 8 * program->n_used;
            scratch->strip.phi = (Lanes *)(scratch->phi + s * scratch->width);
            shapley_of_eight(trees, tree, &points, table, &scratch->strip);
        }
    }
}

/* A row's Shapley values: the totals over the points, in their order. */
static void total(const Program *program, size_t i, size_t n, const Scratch *scratch) {
    size_t lanes = n < ROWS_A_STRIP ? 1 : 8;
    size_t stride = n < ROWS_A_STRIP ? scratch->single.stride : scratch->strip.stride;
    const double *phi = scratch->phi + i / lanes * program->n_used * stride * lanes + i % lanes;
    for (size_t k = 0; k < program->n_used; k++, phi += stride * lanes) {
        double sum = 0.0;
        for (size_t j = 0; j < program->max_order; j++) sum += phi[j * lanes];
        scratch->sums[k] = sum;
    }
}

static int reasons_block(const Program *program, const double *X, size_t n, int64_t *phi,
                         Scratch *scratch) {
    size_t d = program->n_features, strips = (n + 7) / 8;
    memset(scratch->phi, 0, scratch->n_sums * sizeof(double));
    memset(phi, 0, n * d * sizeof(int64_t));
    if (score_block(program, X, n, scratch->scores)) return -1;
    if (n < ROWS_A_STRIP)
        for (size_t i = 0; i < n; i++)
            fill_strip(program->used, (uint32_t)program->n_used, X + i * d, d, 1, 1,
                       scratch->x + i * program->n_used);
    for (size_t s = 0; n >= ROWS_A_STRIP && s < strips; s++)
        fill_strip(program->used, (uint32_t)program->n_used, X + 8 * s * d, d,
                   n - 8 * s < 8 ? n - 8 * s : 8, 8, scratch->x + s * 8 * program->n_used);
    for (size_t p = 0; p < program->n_parts; p++) {
        const Part *part = program->parts + p;
        reasons_of_trees(program, &part->trees, n, scratch);
        for (size_t i = 0; i < n; i++)
            reasons_of_linear(&part->linear, X + i * d, phi + i * d);
    }
    for (size_t i = 0; i < n; i++) {
        total(program, i, n, scratch);
        apportion(program, scratch->scores[i] - program->reason_base, scratch->sums, phi + i * d,
                  scratch->fraction, scratch->rank);
    }
    return 0;
}

/* Places in `memory` for all of a scratch, aligned for vectors; its size. So few rows that they are
 * taken one by one need no places for strips. */
static size_t lay_out(const Program *program, Scratch *scratch, char *memory) {
    size_t levels = (size_t)program->max_levels + 1, q = program->max_order;
    size_t quads = (q + 3) / 4 * 4, used = program->n_used, total = 0;
    size_t of_strips = scratch->n_strips ? levels : 0, strip_q = scratch->n_strips ? q : 0;
    struct {
        void *home;
        size_t bytes;
    } items[] = {
        {&scratch->strip.at, of_strips * sizeof(Stop *)},
        {&scratch->strip.holds, HOLDS_AT(of_strips, 0) * sizeof(LaneMasks)},
        {&scratch->strip.product, of_strips * q * sizeof(Lanes)},
        {&scratch->strip.right, of_strips * q * sizeof(Lanes)},
        {&scratch->strip.below, strip_q * sizeof(Lanes)},
        {&scratch->strip.tables, of_strips * sizeof(double *)},
        {&scratch->strip.table_room, of_strips * 7 * q * sizeof(double)},
        {&scratch->single.at, levels * sizeof(Stop *)},
        {&scratch->single.holds, HOLDS_AT(levels, 0)},
        {&scratch->single.product, quads * sizeof(double)},
        {&scratch->single.below, quads * sizeof(double)},
        {&scratch->single.levels, (levels + 1) * OF_LEVEL * quads * sizeof(double)},
        {&scratch->x, (8 * scratch->n_strips + scratch->block) * used * sizeof(double)},
        {&scratch->phi, scratch->n_sums * sizeof(double)},
        {&scratch->table, scratch->table_room * sizeof(double)},
        {&scratch->sums, used * sizeof(double)},
        {&scratch->fraction, used * sizeof(double)},
        {&scratch->rank, used * sizeof(uint32_t)},
    };
    for (size_t k = 0; k < sizeof items / sizeof *items; k++) {
        char *place = memory + total;
        if (memory) memcpy(items[k].home, &place, sizeof place);
        total += (items[k].bytes + 63) / 64 * 64;
    }
    return total;
}

/* A scratch for blocks of `n` rows, yet without memory; how many bytes it takes. */
static size_t plan_scratch(const Program *program, size_t n, Scratch *scratch) {
    size_t q = program->max_order, quads = (q + 3) / 4 * 4, used = program->n_used;
    memset(scratch, 0, sizeof *scratch);
    scratch->width = used * q * 8;
    scratch->block = n < ROWS_A_STRIP ? n : ROWS_A_STRIP - 1;
    if (used * quads > SUMS_OF_BLOCK) scratch->block = 1;
    scratch->n_sums = scratch->block * used * quads; /* rows one by one */
    if (n >= ROWS_A_STRIP && scratch->width <= SUMS_OF_STRIP) {
        scratch->n_strips = (n + 7) / 8 < MOST_STRIPS ? (n + 7) / 8 : MOST_STRIPS;
        while (scratch->n_strips > 1 && scratch->n_strips * scratch->width > SUMS_OF_BLOCK)
            scratch->n_strips--;
        scratch->block = 8 * scratch->n_strips;
        if (scratch->n_sums < scratch->n_strips * scratch->width)
            scratch->n_sums = scratch->n_strips * scratch->width;
    }
    if (scratch->n_strips > 1 && program->makes_tables)
        scratch->table_room =
            program->max_table < TABLE_OF_BLOCK ? program->max_table : TABLE_OF_BLOCK;
    scratch->strip.stride = q;
    scratch->single.stride = quads;
    return lay_out(program, scratch, NULL);
}

static int make_scratch(const Program *program, size_t n, Scratch *scratch) {
    scratch->memory = borrow(program->spare, plan_scratch(program, n, scratch));
    if (!scratch->memory) return -1;
    lay_out(program, scratch, scratch->memory);
    return 0;
}

int reasons_rows(const Program *program, const double *X, size_t n, int64_t *phi) {
    Scratch scratch;
    if (make_scratch(program, n, &scratch)) return -1;
    size_t d = program->n_features, block = scratch.block;
    int status = 0;
    for (size_t i = 0; i < n && !status; i += block)
        status = reasons_block(program, X + i * d, n - i < block ? n - i : block, phi + i * d,
                               &scratch);
    give_back(program->spare, scratch.memory);
    return status;
}

int keep_spare(Program *program) {
    Scratch scratch;
    size_t bytes = plan_scratch(program, 1, &scratch);
    return bytes <= SPARE_KEPT && !(program->spare = spare_new(bytes)) ? -1 : 0;
}
