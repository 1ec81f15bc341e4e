/* The sealed program's kernel: linear parts, each term rounded once to an integer. */
#include "_kernel.h"

#include <math.h>
#include <stdlib.h>

INLINE int64_t numeric_term(const Linear *linear, uint32_t m, double x) {
    if (x != x) return linear->missing[m];
    if (x < linear->low[m]) x = linear->low[m];
    if (x > linear->high[m]) x = linear->high[m];
    return (int64_t)rint(((x - linear->center[m]) / linear->scale[m]) * linear->weight[m]);
}

INLINE int64_t table_term(const Linear *linear, uint32_t k, double x) {
    if (x != x) return linear->table_missing[k];
    int32_t start = linear->table_start[k], n_values = linear->table_start[k + 1] - start;
    int32_t low = linear->cut_start[k], high = linear->cut_start[k + 1];
    if (low < high) { /* the number of cuts <= x */
        int32_t first = low;
        while (low < high) {
            int32_t middle = low + (high - low) / 2;
            if (linear->cut[middle] <= x)
                low = middle + 1;
            else
                high = middle;
        }
        return linear->table_value[start + (low - first)];
    }
    if (!(x >= 0.0) || !(x < (double)n_values)) return linear->table_other[k];
    int32_t code = (int32_t)x;
    return (double)code == x ? linear->table_value[start + code] : linear->table_other[k];
}

static int64_t linear_of_row(const Linear *linear, const double *row) {
    int64_t sum = 0;
    for (uint32_t m = 0; m < linear->n_numeric; m++)
        sum += numeric_term(linear, m, row[linear->column[m]]);
    for (uint32_t k = 0; k < linear->n_tables; k++)
        sum += table_term(linear, k, row[linear->table_column[k]]);
    return sum;
}

void score_linear(const Linear *linear, const double *X, size_t d, size_t n, int64_t *sums) {
    for (size_t i = 0; i < n; i++) sums[i] += linear_of_row(linear, X + i * d);
}

void reasons_of_linear(const Linear *linear, const double *row, int64_t *phi) {
    for (uint32_t m = 0; m < linear->n_numeric; m++)
        phi[linear->column[m]] +=
            numeric_term(linear, m, row[linear->column[m]]) - linear->mean[m];
    for (uint32_t k = 0; k < linear->n_tables; k++)
        phi[linear->table_column[k]] +=
            table_term(linear, k, row[linear->table_column[k]]) - linear->table_mean[k];
}


/* ---- preparing ------------------------------------------------------------------------------ */

void free_linear(Linear *linear) {
    void *arrays[] = {linear->column, linear->table_column, linear->table_start, linear->cut_start,
                      linear->center, linear->scale, linear->low, linear->high, linear->weight,
                      linear->cut, linear->missing, linear->mean, linear->table_value,
                      linear->table_missing, linear->table_other, linear->table_mean};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
}

static int linear_fits(const Linear *linear, int64_t *total) {
    for (uint32_t m = 0; m < linear->n_numeric; m++) {
        int64_t largest = 0;
        double ends[2] = {linear->low[m], linear->high[m]};
        if (!(linear->low[m] <= linear->high[m])) return 0;
        if (!(linear->scale[m] > 0)) return 0;
        for (int k = 0; k < 2; k++) {
            double term = ((ends[k] - linear->center[m]) / linear->scale[m]) * linear->weight[m];
            if (!(fabs(term) <= (double)MAX_SUM)) return 0;
            if (count_term((int64_t)rint(term), &largest)) return 0;
        }
        if (count_term(linear->missing[m], &largest) || count_term(linear->mean[m], &largest) ||
            count_sum(largest, total))
            return 0;
    }
    for (uint32_t k = 0; k < linear->n_tables; k++) {
        int64_t largest = 0;
        int32_t n_cuts = linear->cut_start[k + 1] - linear->cut_start[k];
        int32_t n_values = linear->table_start[k + 1] - linear->table_start[k];
        if (n_cuts > 0 && n_values != n_cuts + 1) return 0;
        for (int32_t v = linear->table_start[k]; v < linear->table_start[k + 1]; v++)
            if (count_term(linear->table_value[v], &largest)) return 0;
        if (count_term(linear->table_missing[k], &largest) ||
            count_term(linear->table_other[k], &largest) ||
            count_term(linear->table_mean[k], &largest) || count_sum(largest, total))
            return 0;
    }
    return 1;
}

/* column, center, scale, low, high, weight, missing, mean, table_column, table_start, table_value,
 * cut_start, cut, table_missing, table_other, table_mean */
Fault read_linear(Program *program, Part *part, const Array *arrays, int64_t *total) {
    Linear *linear = &part->linear;
    uint32_t counts[LINEAR_ARRAYS];
    const struct {
        size_t size;
        void *home;
    } items[LINEAR_ARRAYS] = {
        {4, &linear->column},        {8, &linear->center},      {8, &linear->scale},
        {8, &linear->low},           {8, &linear->high},        {8, &linear->weight},
        {8, &linear->missing},       {8, &linear->mean},        {4, &linear->table_column},
        {4, &linear->table_start},   {8, &linear->table_value}, {4, &linear->cut_start},
        {8, &linear->cut},           {8, &linear->table_missing},
        {8, &linear->table_other},   {8, &linear->table_mean},
    };
    for (int k = 0; k < LINEAR_ARRAYS; k++) {
        Fault fault = copy_in(arrays + k, items[k].size, items[k].home, counts + k);
        if (fault) return fault;
    }
    uint32_t n = counts[0], n_tables = counts[8];
    for (int k = 0; k < 8; k++)
        if (counts[k] != n) return "the arrays of terms differ in length";
    for (int k = 13; k < 16; k++)
        if (counts[k] != n_tables) return "the arrays of tables differ in length";
    linear->n_numeric = n;
    linear->n_tables = n_tables;
    if (!ranges_hold(linear->table_start, counts[9], n_tables, counts[10]) ||
        !ranges_hold(linear->cut_start, counts[11], n_tables, counts[12]) ||
        !columns_hold(linear->column, n, program->n_features) ||
        !columns_hold(linear->table_column, n_tables, program->n_features) ||
        !linear_fits(linear, total))
        return "a linear part is malformed or its terms too large";
    return NULL;
}
