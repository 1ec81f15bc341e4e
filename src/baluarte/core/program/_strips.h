/* The sealed program's kernel: rows side by side, four in a vector. */
#ifndef BALUARTE_KERNEL_STRIPS_H
#define BALUARTE_KERNEL_STRIPS_H

#include "_kernel.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are passed to inlined functions only */

#define STRIP 16 /* rows side by side */

#if defined(__x86_64__)
#define WIDE "avx2"
#define WIDEST "avx512f,avx512dq,avx512vl"
#endif

typedef double Values __attribute__((vector_size(32), may_alias));
typedef int64_t Masks __attribute__((vector_size(32), may_alias));
typedef uint64_t Words __attribute__((vector_size(32)));
typedef int32_t Codes __attribute__((vector_size(16)));
typedef float Floats __attribute__((vector_size(16)));
typedef double Unaligned __attribute__((vector_size(32), aligned(8), may_alias));

INLINE Values at(const double *x) {
    return *(const Unaligned *)x;
}

INLINE Values same(double x) {
    return (Values){x, x, x, x};
}

INLINE Masks same_mask(int64_t x) {
    return (Masks){x, x, x, x};
}

/* Whether int(x) is in the node's set, where `inside` says that it may be; see in_set. */
INLINE Masks members_of_four(const Node *node, const uint32_t *words, const Values *values,
                             const Masks *may) {
    Values x = *values;
    Masks inside = *may;
    Masks code = __builtin_convertvector(
        __builtin_convertvector((Values)((Masks)x & inside), Codes), Masks);
    const uint32_t *set = words + node->u.set.start;
    Masks word;
    if (node->u.set.n_bits <= 64) {
        uint64_t all = node->u.set.n_bits ? set[0] : 0;
        if (node->u.set.n_bits > 32) all |= (uint64_t)set[1] << 32;
        word = same_mask((int64_t)all);
    } else {
        for (int k = 0; k < 4; k++) word[k] = (int64_t)set[(uint64_t)code[k] >> 5];
        code &= 31;
    }
    return -(Masks)(((Words)word >> (Words)code) & 1) & inside;
}

INLINE Masks special_of_four(const Node *node, const uint32_t *words, const double *from) {
    Values x = at(from);
    Masks nan_left = same_mask(-(int64_t)((node->bits & NAN_LEFT) != 0));
    if (node->bits & ZERO) {
        Masks missing = (x != x) | ((x >= -ZERO_THRESHOLD) & (x <= ZERO_THRESHOLD));
        return (missing & nan_left) | (~missing & (x <= same(node->u.cut)));
    }
    Values n_bits = same((double)node->u.set.n_bits);
    if (!(node->bits & FLOAT_SET)) {
        Masks inside = (x > -1.0) & (x < n_bits);
        return members_of_four(node, words, &x, &inside);
    }
    Masks nan = x != x, fits = (x <= 1e30) & (x >= -1e30);
    Floats rounded = __builtin_convertvector((Values)((Masks)x & fits), Floats);
    x = __builtin_convertvector(rounded, Values);
    Masks inside = fits & (x >= 0.0) & (x < n_bits);
    return ~members_of_four(node, words, &x, &inside) & (~nan | nan_left);
}

INLINE Masks left_of_four(const Node *node, const uint32_t *words, const double *from) {
    if (node->bits & SPECIAL) return special_of_four(node, words, from);
    Values x = at(from);
    Values cut = same(node->u.cut);
    return node->bits & NAN_LEFT ? ~(x > cut) : x <= cut;
}

/* The listed columns of the first `n` of `width` rows, side by side; rows that are not there are
 * zeros. */
void fill_strip(const uint32_t *columns, uint32_t n_columns, const double *X, size_t d, size_t n,
                size_t width, double *strip);

enum { VECTORS_PLAIN, VECTORS_WIDE, VECTORS_WIDEST };
int vectors_here(void);

#endif
