/* The sealed program's kernel: scores of tree ensembles. */
#include "_strips.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define ROWS_A_STRIP 6 /* from so many on, strips beat rows one by one */

/* ---- decisions ------------------------------------------------------------------------------ */

double cut_of(double t, int strict) {
    const double to_infinity = 0x1.ffffffp127; /* from here on x rounds to infinity */
    float last;                                /* the largest float32 that goes left */
    if (isinf(t) && t > 0 && !strict) return t;
    if (t > (double)FLT_MAX) {
        last = FLT_MAX;
    } else if (t < -(double)FLT_MAX) {
        return -to_infinity;
    } else {
        last = (float)t;
        if ((double)last > t || (strict && (double)last == t)) {
            if (last == -FLT_MAX) return -to_infinity;
            last = nextafterf(last, -FLT_MAX);
        }
    }
    double next = last == FLT_MAX ? 0x1p128 : (double)nextafterf(last, FLT_MAX);
    double middle = ((double)last + next) / 2.0;
    uint32_t pattern;
    memcpy(&pattern, &last, sizeof pattern);
    return pattern & 1u ? nextafter(middle, -DBL_MAX) : middle; /* ties go to even */
}

static int in_set(const Node *node, const uint32_t *words, double x) {
    if (!(x > -1.0) || !(x < (double)node->u.set.n_bits)) return 0;
    uint32_t code = (uint32_t)(int64_t)x; /* -0.5 is code 0 */
    if (code >= node->u.set.n_bits) return 0;
    return (words[node->u.set.start + (code >> 5)] >> (code & 31u)) & 1u;
}

int goes_left_special(const Node *node, const uint32_t *words, double x) {
    int nan_left = (node->bits & NAN_LEFT) != 0;
    if (node->bits & ZERO) {
        if (x != x || (x >= -ZERO_THRESHOLD && x <= ZERO_THRESHOLD)) return nan_left;
        return x <= node->u.cut;
    }
    if (!(node->bits & FLOAT_SET)) return in_set(node, words, x);
    if (x != x) return nan_left;
    if (x > 1e30 || x < -1e30) return 1; /* no category: left, as xgboost has it */
    float rounded = (float)x;
    return rounded < 0.0f || !in_set(node, words, (double)rounded);
}

/* ---- scores --------------------------------------------------------------------------------- */

int vectors_here(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return VECTORS_WIDEST;
    if (__builtin_cpu_supports("avx2")) return VECTORS_WIDE;
#endif
    return VECTORS_PLAIN;
}

void score_trees(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums) {
    uint32_t first = 0;
    if (n >= ROWS_A_STRIP && trees->n_small && score_small(trees, X, d, n, sums))
        first = trees->n_small;
    if (first < trees->n_trees) walk_trees(trees, first, X, d, n, sums);
}
