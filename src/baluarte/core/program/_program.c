/* The sealed program's kernel: parts put together, blocks of rows, threads. */
#include "_kernel.h"

#include <fenv.h>
#include <float.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define MAX_THREADS 256
#define THREAD_STACK ((size_t)1 << 20) /* musl's own is 128 KiB: less than blocks of rows take */

const char NO_MEMORY[] = "not enough memory";

/* ---- floating-point environment ------------------------------------------------------------ */

typedef struct {
    fenv_t saved;
    int changed;
} Environment;

static int environment_is_default(void) {
#if defined(__SSE2__)
    /* exceptions masked, round to nearest, neither flush to zero nor denormals are zero */
    return (_mm_getcsr() & 0xFFC0u) == 0x1F80u;
#else
    volatile double tiny = DBL_MIN;
    volatile double half = tiny * 0.5;
    return fegetround() == FE_TONEAREST && half != 0.0 && half * 2.0 == tiny;
#endif
}

/* A foreign library may have changed rounding or flushed subnormals: ours for the call. */
static int enter(Environment *environment) {
    environment->changed = 0;
    if (environment_is_default()) return 0;
    if (fegetenv(&environment->saved) || fesetenv(FE_DFL_ENV)) return -1;
    environment->changed = 1;
    return environment_is_default() ? 0 : -1;
}

static void leave(const Environment *environment) {
    if (environment->changed) fesetenv(&environment->saved);
}

/* ---- scores --------------------------------------------------------------------------------- */

INLINE int64_t saturate(int64_t score) {
    return score > MAX_SCORE ? MAX_SCORE : score < -MAX_SCORE ? -MAX_SCORE : score;
}

int score_block(const Program *program, const double *X, size_t n, int64_t *scores) {
    size_t d = program->n_features;
    for (size_t i = 0; i < n; i++) scores[i] = program->base;
    for (size_t p = 0; p < program->n_parts; p++) {
        const Part *part = program->parts + p;
        if (part->kind == LINEAR)
            score_linear(&part->linear, X, d, n, scores);
        else if (part->kind < LINEAR)
            score_trees(&part->trees, X, d, n, scores);
        else if (score_dense(part, X, d, n, scores))
            return -1;
    }
    for (size_t i = 0; i < n; i++) scores[i] = saturate(scores[i]);
    return 0;
}

int score_rows(const Program *program, const double *X, size_t n, int64_t *scores) {
    size_t block = program->rows_a_block;
    for (size_t i = 0; i < n; i += block)
        if (score_block(program, X + i * program->n_features, n - i < block ? n - i : block,
                        scores + i))
            return -1;
    return 0;
}

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct {
    Work *work;
    const Program *program;
    const double *X;
    size_t n;
    int64_t *out;
    int status; /* 0, -1 no memory, -2 the floating-point environment can't be set */
    int started;
    pthread_t thread;
} Job;

static void do_job(Job *job) {
    Environment environment;
    if (enter(&environment)) {
        job->status = -2;
        return;
    }
    job->status = job->work(job->program, job->X, job->n, job->out);
    leave(&environment);
}

static void *thread_main(void *job) {
    do_job(job);
    return NULL;
}

int run(Work *work, const Program *program, const double *X, size_t n, int64_t *out,
               size_t width, size_t threads, size_t rows_a_thread) {
    Job jobs[MAX_THREADS];
    pthread_attr_t attributes;
    if (threads > n / rows_a_thread) threads = n / rows_a_thread;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads < 1) threads = 1;
    size_t share = (n / threads + LANES - 1) / LANES * LANES, from = 0;
    int status = 0, sized = threads > 1 && !pthread_attr_init(&attributes);
    if (sized && pthread_attr_setstacksize(&attributes, THREAD_STACK)) {
        pthread_attr_destroy(&attributes);
        sized = 0; /* without its stack no thread is started: the caller does all */
    }
    for (size_t k = 0; k < threads; k++) {
        size_t rows = n - from < share || k + 1 == threads ? n - from : share;
        jobs[k] = (Job){.work = work, .program = program, .X = X + from * program->n_features,
                        .n = rows, .out = out + from * width};
        from += rows;
        if (k > 0 && sized)
            jobs[k].started =
                pthread_create(&jobs[k].thread, &attributes, thread_main, jobs + k) == 0;
    }
    if (sized) pthread_attr_destroy(&attributes);
    for (size_t k = 0; k < threads; k++) {
        if (jobs[k].started)
            pthread_join(jobs[k].thread, NULL);
        else
            do_job(jobs + k);
        if (jobs[k].status) status = jobs[k].status;
    }
    return status;
}

/* ---- preparing ------------------------------------------------------------------------------ */

void *room(size_t count, size_t size) {
    return calloc(count ? count : 1, size);
}

static void *aligned(size_t bytes) {
    return aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
}

Spare *spare_new(size_t bytes) {
    Spare *spare = room(1, sizeof *spare);
    if (!spare) return NULL;
    atomic_flag_clear(&spare->lent);
    spare->bytes = bytes;
    spare->memory = aligned(bytes);
    if (spare->memory) return spare;
    free(spare);
    return NULL;
}

void spare_free(Spare *spare) {
    if (spare) free(spare->memory);
    free(spare);
}

void *borrow(Spare *spare, size_t bytes) {
    if (spare && bytes <= spare->bytes &&
        !atomic_flag_test_and_set_explicit(&spare->lent, memory_order_acquire))
        return spare->memory;
    return aligned(bytes);
}

void give_back(Spare *spare, void *memory) {
    if (spare && memory == spare->memory)
        atomic_flag_clear_explicit(&spare->lent, memory_order_release);
    else
        free(memory);
}

Fault copy_in(const Array *array, size_t size, void *out, uint32_t *count) {
    if (array->size != size || array->bytes / size > (1 << 28))
        return "an array of a part has the wrong item size or too many items";
    void *copy = malloc(array->bytes ? array->bytes : 1);
    if (!copy) return NO_MEMORY;
    if (array->bytes) memcpy(copy, array->items, array->bytes);
    *(void **)out = copy;
    *count = (uint32_t)(array->bytes / size);
    return NULL;
}

int count_term(int64_t term, int64_t *largest) {
    if (term > MAX_SUM || term < -MAX_SUM) return -1;
    if (term < 0) term = -term;
    if (term > *largest) *largest = term;
    return 0;
}

int count_sum(int64_t largest, int64_t *total) {
    *total += largest;
    return *total > MAX_SUM ? -1 : 0;
}

int ranges_hold(const int32_t *start, uint32_t count, uint32_t n_ranges, uint32_t n_items) {
    if (count != n_ranges + 1 || start[0] != 0 || (uint32_t)start[n_ranges] != n_items) return 0;
    for (uint32_t k = 0; k < n_ranges; k++)
        if (start[k] > start[k + 1]) return 0;
    return 1;
}

int columns_hold(const int32_t *column, uint32_t count, size_t n_features) {
    for (uint32_t k = 0; k < count; k++)
        if (column[k] < 0 || (size_t)column[k] >= n_features) return 0;
    return 1;
}

void program_free(Program *program) {
    if (!program) return;
    for (size_t p = 0; program->parts && p < program->n_parts; p++) {
        free_trees(&program->parts[p].trees);
        free_linear(&program->parts[p].linear);
        free_dense(&program->parts[p].dense);
    }
    free(program->parts);
    free(program->used);
    free(program->place);
    free(program->points_at);
    free(program->fail);
    free(program->t);
    free(program->u);
    free(program->w);
    spare_free(program->spare);
    free(program);
}

/* Small programs stay in the cache beside a block of rows; large ones are read once a block, so the
 * block is larger. */
static void block_rows(Program *program) {
    size_t bytes = program->packed_bytes > (1u << 21) ? 1u << 20 : 1u << 16;
    size_t rows = bytes / (sizeof(double) * program->n_features) / LANES * LANES;
    program->rows_a_block = rows < LANES ? LANES : rows > BLOCK ? BLOCK : rows;
}

Program *program_new(int64_t n_features, int64_t base, size_t n_parts, Fault *fault) {
    int64_t total = 0, largest = 0;
    if (n_features < 1 || n_features > MAX_FEATURES || count_term(base, &largest) ||
        count_sum(largest, &total)) {
        *fault = "the number of columns or the base is out of range";
        return NULL;
    }
    *fault = NO_MEMORY;
    Program *program = room(1, sizeof *program);
    if (!program) return NULL;
    program->parts = room(n_parts, sizeof(Part));
    if (!program->parts) {
        program_free(program);
        return NULL;
    }
    program->n_features = (size_t)n_features;
    program->n_parts = n_parts;
    program->base = base;
    program->largest_sum = total;
    block_rows(program);
    *fault = NULL;
    return program;
}

static size_t cost_of(const Part *part) {
    const size_t levels = 8; /* of a tree that is walked */
    const Dense *dense = &part->dense;
    size_t cost = part->trees.n_trees * levels + part->linear.n_numeric + part->linear.n_tables +
                  dense->n_inputs + (size_t)dense->n_vectors * dense->n_inputs;
    for (uint32_t layer = 0, before = dense->n_inputs; layer < dense->n_layers; layer++) {
        cost += (size_t)before * (size_t)dense->size[layer];
        before = (uint32_t)dense->size[layer];
    }
    return cost;
}

Fault program_read(Program *program, size_t at, int64_t kind, const Array *arrays, size_t count) {
    static const size_t counts[N_KINDS] = {TREE_ARRAYS,   TREE_ARRAYS,    TREE_ARRAYS, LINEAR_ARRAYS,
                                           KERNEL_ARRAYS, NETWORK_ARRAYS, STACK_ARRAYS};
    Part *part = program->parts + at;
    Fault fault;
    if (kind < 0 || kind >= N_KINDS || count != counts[kind])
        return "expected a kind of part and its arrays";
    part->kind = (int)kind;
    if (kind == LINEAR)
        fault = read_linear(program, part, arrays, &program->largest_sum);
    else if (kind < LINEAR)
        fault = read_trees(program, part, arrays, &program->largest_sum);
    else
        fault = read_dense(program, part, arrays, &program->largest_dense);
    program->packed_bytes += part->trees.packed_bytes;
    program->cost += cost_of(part);
    block_rows(program);
    return fault;
}

Fault program_join(Program *program, size_t at, uint32_t place, Program *member) {
    Fault fault = member->n_features == program->n_features
                      ? join_stack(&program->parts[at].dense, place, member,
                                   &program->largest_dense)
                      : "a stack's member has other columns";
    if (fault)
        program_free(member);
    else
        program->cost += member->cost;
    return fault;
}
