/* The sealed program's kernel: trees of at most 64 leaves over rows side by side.
 *
 * A bit a leaf, from left to right; every node that a row goes right at clears the leaves to its
 * left; the lowest bit that stays is the row's leaf. No branch and no address depends on the row.
 * Source: Lucchese et al., QuickScorer, SIGIR 2015.
 */
#include "_strips.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_BIT 62
#define AT_ONCE 4 /* strips: they stay in the cache while the trees pass */
#define HERE 64   /* columns of strips that need no allocation */

typedef void Clear(const Trees *, const Small *, const double *, Masks *);

/* Nodes that compare: what is missing goes right, then left; then nodes of few categories. */
INLINE void clear_plain(const Trees *trees, const Small *small, const double *restrict strip,
                        Masks *restrict stay) {
    const Test *test = trees->tests + small->first, *end = trees->tests + small->nan_left;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        Values cut = same(test->u.cut);
        for (int k = 0; k < STRIP / 4; k++) stay[k] &= (at(x + 4 * k) <= cut) | test->keep;
    }
    end = trees->tests + small->sets;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        Values cut = same(test->u.cut);
        for (int k = 0; k < STRIP / 4; k++) stay[k] &= ~(at(x + 4 * k) > cut) | test->keep;
    }
    end = trees->tests + small->special;
    for (; test < end; test++) {
        const double *hot = strip + (size_t)test->column * STRIP;
        Masks right = same_mask(test->u.right);
        for (int k = 0; k < STRIP / 4; k++)
            stay[k] &= (((Masks)at(hot + 4 * k) & right) == 0) | test->keep;
    }
}

INLINE void strip_of_tree(const Trees *trees, const Small *small, const double *restrict strip,
                          int64_t *restrict sums, Clear clear) {
    Masks stay[STRIP / 4];
    int64_t leaves[STRIP];
    for (int k = 0; k < STRIP / 4; k++) stay[k] = (Masks){-1, -1, -1, -1};
    clear(trees, small, strip, stay);
    const Test *end = trees->tests + small->end;
    for (const Test *test = trees->tests + small->special; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        const Node *node = trees->node + test->node;
        for (int k = 0; k < STRIP / 4; k++)
            stay[k] &= special_of_four(node, trees->words, x + 4 * k) | test->keep;
    }
    memcpy(leaves, stay, sizeof leaves);
    for (int k = 0; k < STRIP; k++)
        sums[k] += trees->leaf[small->leaf + (uint32_t)__builtin_ctzll((uint64_t)leaves[k])];
}

INLINE void small_trees(const Trees *trees, const double *strips, size_t n_strips, size_t width,
                        int64_t *sums, Clear clear) {
    for (uint32_t k = 0; k < trees->n_small; k++)
        for (size_t s = 0; s < n_strips; s++)
            strip_of_tree(trees, trees->small + k, strips + s * width, sums + s * STRIP, clear);
}

typedef void SmallTrees(const Trees *, const double *, size_t, size_t, int64_t *);

static void small_trees_plain(const Trees *trees, const double *strips, size_t n_strips,
                              size_t width, int64_t *sums) {
    small_trees(trees, strips, n_strips, width, sums, clear_plain);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* As clear_plain, eight rows at once: only the rows that go right lose leaves. */
__attribute__((target(WIDEST))) static void clear_widest(const Trees *trees, const Small *small,
                                                         const double *restrict strip,
                                                         Masks *restrict stay) {
    __m512i low = _mm512_set1_epi64(-1), high = low;
    const Test *test = trees->tests + small->first, *end = trees->tests + small->nan_left;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        __m512d cut = _mm512_set1_pd(test->u.cut);
        __m512i keep = _mm512_set1_epi64(test->keep);
        __mmask8 right = _mm512_cmp_pd_mask(_mm512_loadu_pd(x), cut, _CMP_NLE_UQ);
        low = _mm512_mask_and_epi64(low, right, low, keep);
        right = _mm512_cmp_pd_mask(_mm512_loadu_pd(x + 8), cut, _CMP_NLE_UQ);
        high = _mm512_mask_and_epi64(high, right, high, keep);
    }
    end = trees->tests + small->sets;
    for (; test < end; test++) {
        const double *x = strip + (size_t)test->column * STRIP;
        __m512d cut = _mm512_set1_pd(test->u.cut);
        __m512i keep = _mm512_set1_epi64(test->keep);
        __mmask8 right = _mm512_cmp_pd_mask(_mm512_loadu_pd(x), cut, _CMP_GT_OQ);
        low = _mm512_mask_and_epi64(low, right, low, keep);
        right = _mm512_cmp_pd_mask(_mm512_loadu_pd(x + 8), cut, _CMP_GT_OQ);
        high = _mm512_mask_and_epi64(high, right, high, keep);
    }
    end = trees->tests + small->special;
    for (; test < end; test++) {
        const double *hot = strip + (size_t)test->column * STRIP;
        __m512i set = _mm512_set1_epi64(test->u.right), keep = _mm512_set1_epi64(test->keep);
        __mmask8 right = _mm512_test_epi64_mask(_mm512_loadu_si512(hot), set);
        low = _mm512_mask_and_epi64(low, right, low, keep);
        right = _mm512_test_epi64_mask(_mm512_loadu_si512(hot + 8), set);
        high = _mm512_mask_and_epi64(high, right, high, keep);
    }
    _mm512_storeu_si512(stay, low);
    _mm512_storeu_si512(stay + 2, high);
}

__attribute__((target(WIDE))) static void small_trees_wide(const Trees *trees, const double *strips,
                                                           size_t n_strips, size_t width,
                                                           int64_t *sums) {
    small_trees(trees, strips, n_strips, width, sums, clear_plain);
}

__attribute__((target(WIDEST))) static void small_trees_widest(const Trees *trees,
                                                               const double *strips,
                                                               size_t n_strips, size_t width,
                                                               int64_t *sums) {
    small_trees(trees, strips, n_strips, width, sums, clear_widest);
}
#endif

static SmallTrees *small_trees_here(void) {
#if defined(__x86_64__)
    switch (vectors_here()) {
        case VECTORS_WIDEST:
            return small_trees_widest;
        case VECTORS_WIDE:
            return small_trees_wide;
    }
#endif
    return small_trees_plain;
}

void fill_strip(const uint32_t *columns, uint32_t n_columns, const double *X, size_t d, size_t n,
                size_t width, double *strip) {
    for (uint32_t c = 0; c < n_columns; c++, strip += width) {
        const double *from = X + columns[c];
        for (size_t k = 0; k < width; k++) strip[k] = k < n ? from[k * d] : 0.0;
    }
}

/* A category's bit; the last two are what is missing and any other value. */
static int64_t hot_of(double x, int float_sets) {
    const int64_t missing = INT64_MIN, other = 1LL << OTHER_BIT;
    if (x != x) return missing;
    if (float_sets) {
        if (!(fabs(x) <= 1e30)) return other;
        x = (double)(float)x;
        if (x < 0.0) return other;
    }
    return x > -1.0 && x < OTHER_BIT ? 1LL << (int)x : other;
}

static void fill_hot(const Trees *trees, double *strip) {
    for (size_t k = 0; k < (size_t)(trees->n_columns - trees->n_numbers) * STRIP; k++) {
        int64_t hot = hot_of(strip[k], trees->float_sets);
        memcpy(strip + k, &hot, sizeof hot);
    }
}

int score_small(const Trees *trees, const double *X, size_t d, size_t n, int64_t *sums) {
    double here[AT_ONCE * STRIP * HERE];
    int64_t found[AT_ONCE * STRIP];
    size_t width = (size_t)trees->n_columns * STRIP;
    double *strips = here;
    SmallTrees *score_strips = small_trees_here();
    if (trees->n_columns > HERE) {
        strips = malloc(AT_ONCE * width * sizeof(double));
        if (!strips) return 0;
    }
    for (size_t i = 0; i < n; i += AT_ONCE * STRIP) {
        size_t rows = n - i < AT_ONCE * STRIP ? n - i : AT_ONCE * STRIP, n_strips = 0;
        memset(found, 0, sizeof found);
        for (size_t k = 0; k < rows; k += STRIP) {
            double *strip = strips + n_strips++ * width;
            fill_strip(trees->columns, trees->n_columns, X + (i + k) * d, d,
                       rows - k < STRIP ? rows - k : STRIP, STRIP, strip);
            fill_hot(trees, strip + (size_t)trees->n_numbers * STRIP);
        }
        score_strips(trees, strips, n_strips, width, found);
        for (size_t k = 0; k < rows; k++) sums[i + k] += found[k];
    }
    if (strips != here) free(strips);
    return 1;
}

/* ---- preparing ------------------------------------------------------------------------------ */

enum { NAN_RIGHT_KIND, NAN_LEFT_KIND, SET_KIND, SPECIAL_KIND, N_TEST_KINDS };

/* Sets of no more categories than have a bit are tested by it. */
static int kind_of(const Trees *trees, const Node *node) {
    if (!(node->bits & SPECIAL)) return node->bits & NAN_LEFT ? NAN_LEFT_KIND : NAN_RIGHT_KIND;
    if (!(node->bits & SET) || node->u.set.n_bits > 64) return SPECIAL_KIND;
    const uint32_t *set = trees->words + node->u.set.start;
    return node->u.set.n_bits > 32 && set[1] >> (OTHER_BIT - 32) ? SPECIAL_KIND : SET_KIND;
}

static int64_t right_of(const Trees *trees, const Node *node) {
    uint64_t set = 0, missing = 1ull << 63, other = 1ull << OTHER_BIT;
    for (uint32_t k = 0; k < node->u.set.n_bits / 32; k++)
        set |= (uint64_t)trees->words[node->u.set.start + k] << (32 * k);
    if (!(node->bits & FLOAT_SET)) return (int64_t)(~set | missing | other);
    return (int64_t)(node->bits & NAN_LEFT ? set : set | missing);
}

/* The columns of small trees; `place` becomes each one's place as a number and as categories. */
static int list_columns(Trees *trees, size_t n_features, uint32_t (*place)[2]) {
    uint32_t next = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t first = trees->first[tree], last = trees->first[tree + 1];
        if (last - first >= SMALL_LEAVES) continue;
        for (uint32_t i = first; i < last; i++) {
            const Node *node = trees->node + i;
            place[node->bits & COLUMN][kind_of(trees, node) == SET_KIND] = 1;
            if (node->bits & FLOAT_SET) trees->float_sets = 1;
        }
    }
    for (size_t column = 0; column < n_features; column++)
        trees->n_columns += place[column][0] + place[column][1];
    trees->columns = room(trees->n_columns, sizeof(uint32_t));
    if (!trees->columns) return -1;
    for (int hot = 0; hot < 2; hot++) {
        for (uint32_t column = 0; column < n_features; column++)
            if (place[column][hot]) {
                trees->columns[next] = column;
                place[column][hot] = next++;
            }
        if (!hot) trees->n_numbers = next;
    }
    return 0;
}

/* The leaves left of node i's right child, as bits from the tree's first leaf on: canonical order
 * puts the left subtree's last leaf just before the right subtree's first. */
static void leaf_ranges(const Trees *trees, uint32_t first, uint32_t last, uint32_t *from,
                        uint32_t *middle) {
    uint32_t width[SMALL_LEAVES];
    for (uint32_t i = last; i-- > first;) {
        int32_t left = trees->left[i], right = trees->right[i];
        uint32_t of_left = left < 0 ? 1 : width[(uint32_t)left - first];
        uint32_t of_right = right < 0 ? 1 : width[(uint32_t)right - first];
        width[i - first] = of_left + of_right;
        middle[i - first] = of_left;
    }
    from[0] = 0;
    for (uint32_t i = first; i < last; i++) {
        int32_t left = trees->left[i], right = trees->right[i];
        uint32_t start = from[i - first];
        middle[i - first] += start;
        if (left >= 0) from[(uint32_t)left - first] = start;
        if (right >= 0) from[(uint32_t)right - first] = middle[i - first];
    }
}

static uint32_t add_tests(Trees *trees, uint32_t tree, Small *small, uint32_t (*place)[2],
                          uint32_t next) {
    uint32_t first = trees->first[tree], last = trees->first[tree + 1];
    uint32_t from[SMALL_LEAVES], middle[SMALL_LEAVES], ends[N_TEST_KINDS];
    leaf_ranges(trees, first, last, from, middle);
    small->first = next;
    for (int kind = 0; kind < N_TEST_KINDS; kind++) {
        for (uint32_t i = first; i < last; i++) {
            const Node *node = trees->node + i;
            if (kind != kind_of(trees, node)) continue;
            uint64_t up_to_middle = ((uint64_t)1 << middle[i - first]) - 1;
            uint64_t up_to_from = ((uint64_t)1 << from[i - first]) - 1;
            Test *test = trees->tests + next++;
            test->keep = (int64_t)~(up_to_middle ^ up_to_from);
            test->column = place[node->bits & COLUMN][kind == SET_KIND];
            test->node = i;
            if (kind == SET_KIND)
                test->u.right = right_of(trees, node);
            else
                test->u.cut = node->u.cut;
        }
        ends[kind] = next;
    }
    small->nan_left = ends[NAN_RIGHT_KIND];
    small->sets = ends[NAN_LEFT_KIND];
    small->special = ends[SET_KIND];
    small->end = next;
    return next;
}

int make_small(Trees *trees, size_t n_features) {
    uint32_t(*place)[2] = room(n_features, sizeof *place), next = 0, leaf = 0, filled = 0;
    size_t n_tests = 0;
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = trees->first[tree + 1] - trees->first[tree];
        if (n >= SMALL_LEAVES) continue;
        trees->n_small++;
        n_tests += n;
    }
    trees->tests = room(n_tests, sizeof(Test));
    trees->small = room(trees->n_small, sizeof(Small));
    if (!place || !trees->tests || !trees->small || list_columns(trees, n_features, place)) {
        free(place);
        return -1;
    }
    for (uint32_t tree = 0; tree < trees->n_trees; tree++) {
        uint32_t n = trees->first[tree + 1] - trees->first[tree];
        if (n < SMALL_LEAVES) {
            trees->small[filled].leaf = leaf;
            next = add_tests(trees, tree, trees->small + filled++, place, next);
        }
        leaf += n + 1;
    }
    free(place);
    return 0;
}
