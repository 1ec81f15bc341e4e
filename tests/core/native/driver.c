/* The kernel without Python: reads a case that native_case.py wrote, computes it in several batch
 * sizes and thread counts, and says what differs from the bits that the case expects.
 *
 *     driver CASE [scores|reasons|allocations]...
 *
 * Built for machines of another kind, under sanitizers, and with malloc counted: see
 * test_kernel_native.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "_kernel.h"

#define LEAST_ROWS 64 /* a thread's, as the module has it */

static const char *at, *end;

static const void *take(uint64_t bytes) {
    const char *here = at;
    uint64_t padded = (bytes + 7) / 8 * 8;
    if (padded < bytes || padded > (uint64_t)(end - at)) {
        fprintf(stderr, "the case stops early\n");
        exit(2);
    }
    at += padded;
    return here;
}

static uint64_t number(void) {
    uint64_t value;
    memcpy(&value, take(sizeof value), sizeof value);
    return value;
}

static Array array(void) {
    uint64_t size = number(), bytes = number();
    return (Array){.items = take(bytes), .size = size, .bytes = bytes};
}

static void must(Fault fault) {
    if (!fault) return;
    fprintf(stderr, "refused: %s\n", fault);
    exit(2);
}

static Program *read_program(uint64_t n_features) {
    Fault fault = NULL;
    int64_t base = (int64_t)number();
    uint64_t n_parts = number();
    Program *program = program_new((int64_t)n_features, base, n_parts, &fault);
    must(fault);
    for (uint64_t p = 0; p < n_parts; p++) {
        Array arrays[32];
        uint64_t kind = number(), n_arrays = number();
        for (uint64_t k = 0; k < n_arrays && k < 32; k++) arrays[k] = array();
        must(program_read(program, p, (int64_t)kind, arrays, n_arrays));
        for (uint64_t m = 0, n = kind == STACK ? number() : 0; m < n; m++)
            must(program_join(program, p, (uint32_t)m, read_program(n_features)));
    }
    return program;
}

static void read_plan(Program *program) {
    Array quadrature[3], arrays[PLAN_ARRAYS];
    int64_t base = (int64_t)number();
    uint64_t max_order = number();
    for (int k = 0; k < 3; k++) quadrature[k] = array();
    must(plan_program(program, base, (uint32_t)max_order, quadrature));
    for (size_t p = 0; p < program->n_parts; p++) {
        if (!number()) continue;
        for (int k = 0; k < PLAN_ARRAYS; k++) arrays[k] = array();
        must(plan_trees(program, &program->parts[p].trees, arrays));
    }
    must(plan_done(program));
}

/* Different numbers among all batch sizes and thread counts. */
static uint64_t differ(Work *work, const Program *program, const double *X, uint64_t n,
                       const int64_t *expected, size_t width, uint64_t *compared) {
    const size_t batches[] = {1, 2, 7, 64, n};
    uint64_t different = 0;
    int64_t *found = malloc((n ? n : 1) * width * sizeof *found);
    if (!found) exit(2);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (size_t threads = 1; threads <= 3; threads++) {
            for (size_t i = 0; i < n; i += batches[b]) {
                size_t rows = n - i < batches[b] ? n - i : batches[b];
                if (run(work, program, X + i * program->n_features, rows, found + i * width, width,
                        threads, width > 1 ? 1 : LEAST_ROWS))
                    exit(2);
            }
            for (uint64_t k = 0; k < n * width; k++) different += found[k] != expected[k];
            *compared += n * width;
        }
    free(found);
    return different;
}

#if defined(COUNT_ALLOCATIONS)
static uint64_t allocations;
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    allocations++;
    return __real_calloc(count, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __real_aligned_alloc(alignment, size);
}

static int allocates(Work *work, const Program *program, const double *X, uint64_t n,
                     const char *what) {
    static int64_t out[MAX_FEATURES];
    uint64_t before = allocations;
    for (uint64_t i = 0; i < n; i++)
        if (run(work, program, X + i * program->n_features, 1, out, 1, 1, 1)) exit(2);
    printf("%s of %llu single rows: %llu allocations\n", what, (unsigned long long)n,
           (unsigned long long)(allocations - before));
    return allocations != before;
}
#endif

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END)) return 2;
    long size = ftell(file);
    char *bytes = malloc((size_t)size + 1);
    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) return 2;
    fclose(file);
    at = bytes;
    end = bytes + size;
    uint64_t n_features = number(), compared = 0;
    Program *program = read_program(n_features);
    uint64_t n = number();
    const double *X = take(n * n_features * sizeof *X);
    const int64_t *scores = take(n * sizeof *scores);
    uint64_t different = differ(score_rows, program, X, n, scores, 1, &compared);
    printf("scores: %llu of %llu different\n", (unsigned long long)different,
           (unsigned long long)compared);
    int failed = different != 0;
    uint64_t n_explained = number();
    if (n_explained) {
        read_plan(program);
        const int64_t *reasons = take(n_explained * n_features * sizeof *reasons);
        compared = 0;
        different = differ(reasons_rows, program, X, n_explained, reasons, n_features, &compared);
        printf("reasons: %llu of %llu different\n", (unsigned long long)different,
               (unsigned long long)compared);
        failed |= different != 0;
    }
#if defined(COUNT_ALLOCATIONS)
    failed |= allocates(score_rows, program, X, n, "scores");
    if (n_explained) failed |= allocates(reasons_rows, program, X, n_explained, "reasons");
#endif
    program_free(program);
    free(bytes);
    return failed;
}
