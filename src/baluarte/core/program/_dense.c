/* The sealed program's kernel: kernel machines, networks and stacks. Lanes hold different support
 * vectors or units, so vectors change no bit. */
#include "_kernel.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 0x1p200
#define MAX_UNIT 0x1p500
#define MAX_INPUTS (1u << 16)
#define MAX_LAYERS 16
#define MAX_DEGREE 16
#define MAX_SHIFT 12
#define MAX_MEMBERS 64
#define WIDTH 8 /* support vectors side by side */
#define TILE 4  /* rows that share a load of them */

enum { IDENTITY = 0, RELU = 1, TANH = 2, LOGISTIC = 3 };

typedef double Doubles __attribute__((vector_size(32)));
typedef int64_t Masks __attribute__((vector_size(32)));
typedef uint64_t Patterns __attribute__((vector_size(32)));

typedef double Loaded __attribute__((vector_size(32), aligned(8), may_alias));

/* ---- functions ------------------------------------------------------------------------------ */

#define ALL(x) ((Doubles){(x), (x), (x), (x)})
#define BUT_SIGN ((Masks){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX})

/* 2^k and p with exp(t) = 2^k (1 + p), for -708 <= t <= 0: functions.py. */
INLINE void reduced(const Doubles *t, Doubles *scale, Doubles *p) {
    const Doubles magic = ALL(0x1.8p52); /* adding it rounds to an integer, half to even */
    static const double series[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
                                    1.0 / 3628800.0,    1.0 / 362880.0,    1.0 / 40320.0,
                                    1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,
                                    1.0 / 24.0,         1.0 / 6.0,         1.0 / 2.0};
    Doubles shifted = *t * ALL(0x1.71547652b82fep+0) + magic;
    Doubles k = shifted - magic;
    Doubles r = (*t - k * ALL(0x1.62e42fefa4000p-1)) - k * ALL(-0x1.8432a1b0e2634p-43);
    Doubles sum = ALL(series[0]);
    for (int n = 1; n < 12; n++) sum = sum * r + ALL(series[n]);
    *p = r + (r * r) * sum;
    Patterns power = (Patterns)shifted - (Patterns)magic; /* k, as its own bits */
    *scale = (Doubles)((power + 1023u) << 52);
}

/* t where it is at least -708, else -708; and whether it was */
INLINE void held(Doubles *t, Masks *inside) {
    *inside = *t >= ALL(-708.0);
    *t = (Doubles)(((Masks)*t & *inside) | ((Masks)ALL(-708.0) & ~*inside));
}

/* exp(t) for t <= 0 */
INLINE void exp_of(Doubles *t) {
    Doubles scale, p;
    Masks inside;
    held(t, &inside);
    reduced(t, &scale, &p);
    *t = (Doubles)((Masks)((ALL(1.0) + p) * scale) & inside);
}

INLINE void logistic_of(Doubles *x) {
    Masks negative = *x < ALL(0.0);
    Doubles e = -(Doubles)((Masks)*x & BUT_SIGN);
    exp_of(&e);
    Doubles top = (Doubles)(((Masks)e & negative) | ((Masks)ALL(1.0) & ~negative));
    *x = top / (ALL(1.0) + e);
}

INLINE void tanh_of(Doubles *x) {
    Doubles scale, p, t = ALL(-2.0) * (Doubles)((Masks)*x & BUT_SIGN);
    Masks inside, negative = *x < ALL(0.0);
    held(&t, &inside);
    reduced(&t, &scale, &p);
    Doubles m = (scale - ALL(1.0)) + scale * p;
    Doubles size = -m / (ALL(2.0) + m);
    *x = (Doubles)(((Masks)-size & negative) | ((Masks)size & ~negative));
}

/* ---- values --------------------------------------------------------------------------------- */

/* A row's prepared numbers, `step` apart. */
static void prepare_row(const Dense *dense, const double *row, double *z, size_t step) {
    for (uint32_t m = 0; m < dense->n_numeric; m++, z += step) {
        double x = row[dense->column[m]];
        if (x < dense->low[m]) x = dense->low[m];
        if (x > dense->high[m]) x = dense->high[m];
        *z = x != x ? dense->missing[m] : (x - dense->center[m]) / dense->scale[m];
    }
    for (uint32_t k = 0; k < dense->n_flags; k++, z += step) {
        double x = row[dense->flag_column[k]];
        int holds = dense->code[k] < 0 ? x != x : x == (double)dense->code[k];
        *z = holds ? dense->on[k] : dense->off[k];
    }
}

INLINE int64_t rounded_shift(int64_t sum, int shift) {
    if (!shift) return sum;
    int64_t whole = sum >> shift, half = (int64_t)1 << (shift - 1);
    int64_t rest = sum - whole * (2 * half);
    return whole + ((rest > half) | ((rest == half) & (whole & 1)));
}

/* K of a few rows and all support vectors, times the weights; z holds (n_inputs, rows). */
INLINE void kernel_tile(const Dense *dense, const double *restrict z, int64_t *restrict sums,
                        const size_t rows, const int radial) {
    const double *restrict v = dense->vector;
    const Doubles gamma = ALL(dense->gamma), coef0 = ALL(dense->coef0);
    int64_t found[TILE] = {0};
    for (uint32_t s = 0; s < dense->n_vectors; s += WIDTH) {
        Doubles total[TILE][2];
        for (size_t r = 0; r < rows; r++) total[r][0] = total[r][1] = ALL(0.0);
        for (uint32_t k = 0; k < dense->n_inputs; k++, v += WIDTH) {
            for (size_t r = 0; r < rows; r++) {
                Doubles one = ALL(z[k * rows + r]);
                for (int half = 0; half < 2; half++) {
                    Doubles other = *(const Loaded *)(v + 4 * half);
                    if (radial) {
                        Doubles difference = one - other;
                        total[r][half] += difference * difference;
                    } else {
                        total[r][half] += one * other;
                    }
                }
            }
        }
        for (size_t r = 0; r < rows; r++)
            for (int half = 0; half < 2; half++) {
                Doubles value;
                if (radial) {
                    value = -(gamma * total[r][half]);
                    exp_of(&value);
                } else {
                    Doubles once = gamma * total[r][half] + coef0;
                    value = once;
                    for (int n = 1; n < dense->degree; n++) value *= once;
                }
                value *= *(const Loaded *)(dense->weight + s + 4 * half);
                for (int lane = 0; lane < 4; lane++) found[r] += (int64_t)rint(value[lane]);
            }
    }
    for (size_t r = 0; r < rows; r++) sums[r] += rounded_shift(found[r], dense->shift);
}

INLINE void kernel_rows(const Dense *dense, const double *X, size_t d, size_t n, double *z,
                        int64_t *sums) {
    size_t i = 0;
    for (; i + TILE <= n; i += TILE) {
        for (size_t r = 0; r < TILE; r++) prepare_row(dense, X + (i + r) * d, z + r, TILE);
        if (dense->degree)
            kernel_tile(dense, z, sums + i, TILE, 0);
        else
            kernel_tile(dense, z, sums + i, TILE, 1);
    }
    for (; i < n; i++) {
        prepare_row(dense, X + i * d, z, 1);
        if (dense->degree)
            kernel_tile(dense, z, sums + i, 1, 0);
        else
            kernel_tile(dense, z, sums + i, 1, 1);
    }
}

/* Some vectors of units: their biases plus, for each value in order, weight x value. A value of
 * zero adds a zero, which changes no number. */
INLINE void units_of(const double *weight, const double *bias, size_t width, const double *value,
                     const uint32_t *place, uint32_t n, double *out, const int vectors) {
    Doubles sum[4];
    for (int v = 0; v < vectors; v++) sum[v] = *(const Loaded *)(bias + 4 * v);
    for (uint32_t k = 0; k < n; k++) {
        const double *from = weight + place[k] * width;
        Doubles x = ALL(value[k]);
        for (int v = 0; v < vectors; v++) sum[v] += *(const Loaded *)(from + 4 * v) * x;
    }
    for (int v = 0; v < vectors; v++) *(Loaded *)(out + 4 * v) = sum[v];
}

INLINE void activate(double *units, size_t width, int activation) {
    if (activation == IDENTITY) return;
    for (size_t j = 0; j < width; j += 4) {
        Doubles x = *(const Loaded *)(units + j);
        if (activation == RELU)
            x = (Doubles)((Masks)x & (x > ALL(0.0)));
        else if (activation == TANH)
            tanh_of(&x);
        else
            logistic_of(&x);
        *(Loaded *)(units + j) = x;
    }
}

INLINE size_t whole_vectors(size_t units) {
    return (units + 3) & ~(size_t)3;
}

/* `space` holds three times the widest layer or the inputs. */
INLINE void network_rows(const Dense *dense, const double *X, size_t d, size_t n, double *space,
                         int64_t *sums) {
    size_t widest = dense->widest;
    double *units = space, *value = space + widest;
    uint32_t *place = (uint32_t *)(space + 2 * widest);
    for (size_t i = 0; i < n; i++) {
        const double *weight = dense->layer_weight, *bias = dense->bias;
        size_t before = dense->n_inputs;
        prepare_row(dense, X + i * d, units, 1);
        for (uint32_t layer = 0; layer < dense->n_layers; layer++) {
            size_t width = whole_vectors((size_t)dense->size[layer]), j = 0;
            uint32_t kept = 0;
            for (size_t k = 0; k < before; k++) {
                value[kept] = units[k];
                place[kept] = (uint32_t)k;
                kept += units[k] != 0.0;
            }
            for (; j + 16 <= width; j += 16)
                units_of(weight + j, bias + j, width, value, place, kept, units + j, 4);
            for (; j < width; j += 4)
                units_of(weight + j, bias + j, width, value, place, kept, units + j, 1);
            activate(units, width, dense->activation[layer]);
            weight += before * width;
            bias += width;
            before = (size_t)dense->size[layer];
        }
        sums[i] += (int64_t)rint(units[0] * dense->output);
    }
}

typedef void DenseRows(const Dense *, const double *, size_t, size_t, double *, int64_t *);

static void kernel_rows_plain(const Dense *dense, const double *X, size_t d, size_t n,
                              double *space, int64_t *sums) {
    kernel_rows(dense, X, d, n, space, sums);
}

static void network_rows_plain(const Dense *dense, const double *X, size_t d, size_t n,
                               double *space, int64_t *sums) {
    network_rows(dense, X, d, n, space, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void kernel_rows_wide(const Dense *dense, const double *X,
                                                             size_t d, size_t n, double *space,
                                                             int64_t *sums) {
    kernel_rows(dense, X, d, n, space, sums);
}

__attribute__((target("avx2"))) static void network_rows_wide(const Dense *dense, const double *X,
                                                              size_t d, size_t n, double *space,
                                                              int64_t *sums) {
    network_rows(dense, X, d, n, space, sums);
}
#endif

static DenseRows *dense_rows(int kind) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return kind == KERNEL_MACHINE ? kernel_rows_wide : network_rows_wide;
#endif
    return kind == KERNEL_MACHINE ? kernel_rows_plain : network_rows_plain;
}

static int stack_rows(const Dense *dense, const double *X, size_t d, size_t n, int64_t *sums) {
    enum { AT_ONCE = 64 };
    int64_t scores[AT_ONCE];
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t rows = n - i < AT_ONCE ? n - i : AT_ONCE;
        for (uint32_t m = 0; m < dense->n_members; m++) {
            if (score_block(dense->member[m], X + i * d, rows, scores)) return -1;
            for (size_t r = 0; r < rows; r++) {
                double margin = (double)scores[r] * dense->member_scale[m];
                if (dense->link[m] == LOGISTIC) {
                    Doubles x = ALL(margin);
                    logistic_of(&x);
                    margin = x[0];
                }
                sums[i + r] += (int64_t)rint(margin * dense->member_weight[m]);
            }
        }
    }
    return 0;
}

enum { HERE = 2048 }; /* numbers that need no allocation */

/* What rows at once take: of a network one after another, of a kernel machine a tile. */
static size_t numbers_of(int kind, const Dense *dense, size_t n) {
    return kind == NETWORK ? 3 * (size_t)dense->widest
                           : (n < TILE ? 1 : TILE) * (size_t)dense->n_inputs;
}

int score_dense(const Part *part, const double *X, size_t d, size_t n, int64_t *sums) {
    double here[HERE], *more = NULL;
    const Dense *dense = &part->dense;
    if (part->kind == STACK) return stack_rows(dense, X, d, n, sums);
    size_t needed = numbers_of(part->kind, dense, n);
    if (needed > HERE && !(more = borrow(dense->spare, needed * sizeof(double)))) return -1;
    dense_rows(part->kind)(dense, X, d, n, more ? more : here, sums);
    if (more) give_back(dense->spare, more);
    return 0;
}

/* ---- preparing ------------------------------------------------------------------------------ */

void free_dense(Dense *dense) {
    void *arrays[] = {dense->column,        dense->flag_column,  dense->code,   dense->center,
                      dense->scale,         dense->low,          dense->high,   dense->missing,
                      dense->on,            dense->off,          dense->vector, dense->weight,
                      dense->size,          dense->activation,   dense->bias,   dense->layer_weight,
                      dense->member_weight, dense->member_scale, dense->link};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
    for (uint32_t m = 0; dense->member && m < dense->n_members; m++) program_free(dense->member[m]);
    free(dense->member);
    spare_free(dense->spare);
}

static int within(const double *values, size_t count, double limit) {
    for (size_t k = 0; k < count; k++)
        if (!(fabs(values[k]) <= limit)) return 0;
    return 1;
}

/* Fills bound with the largest absolute prepared numbers. */
static int inputs_hold(const Dense *dense, double *bound) {
    for (uint32_t m = 0; m < dense->n_numeric; m++) {
        double low = dense->low[m], high = dense->high[m];
        if (!(low <= high) || !(dense->scale[m] > 0) || !isfinite(low) || !isfinite(high)) return 0;
        double a = fabs((low - dense->center[m]) / dense->scale[m]);
        double b = fabs((high - dense->center[m]) / dense->scale[m]);
        bound[m] = fmax(fmax(a, b), fabs(dense->missing[m]));
        if (!(a <= MAX_NUMBER) || !(b <= MAX_NUMBER)) return 0;
    }
    for (uint32_t k = 0; k < dense->n_flags; k++) {
        bound[dense->n_numeric + k] = fmax(fabs(dense->on[k]), fabs(dense->off[k]));
        if (dense->code[k] < -1) return 0;
    }
    return within(dense->missing, dense->n_numeric, MAX_NUMBER) &&
           within(dense->on, dense->n_flags, MAX_NUMBER) &&
           within(dense->off, dense->n_flags, MAX_NUMBER);
}

/* The first ten arrays, and the inputs' bounds in memory that the caller frees. */
static Fault read_inputs(Dense *dense, const Array *arrays, size_t n_features, double **bound) {
    enum { NUMERIC = 6, ALL_INPUTS = 10 };
    uint32_t counts[ALL_INPUTS];
    const struct {
        size_t size;
        void *home;
    } items[ALL_INPUTS] = {
        {4, &dense->column}, {8, &dense->center},  {8, &dense->scale},       {8, &dense->low},
        {8, &dense->high},   {8, &dense->missing}, {4, &dense->flag_column}, {4, &dense->code},
        {8, &dense->on},     {8, &dense->off},
    };
    for (int k = 0; k < ALL_INPUTS; k++) {
        Fault fault = copy_in(arrays + k, items[k].size, items[k].home, counts + k);
        if (fault) return fault;
    }
    for (int k = 0; k < ALL_INPUTS; k++)
        if (counts[k] != counts[k < NUMERIC ? 0 : NUMERIC])
            return "the arrays of inputs differ in length";
    if (counts[0] > MAX_INPUTS || counts[NUMERIC] > MAX_INPUTS - counts[0])
        return "a part has too many inputs";
    dense->n_numeric = counts[0];
    dense->n_flags = counts[NUMERIC];
    dense->n_inputs = dense->n_numeric + dense->n_flags;
    *bound = room(dense->n_inputs, sizeof(double));
    if (!*bound) return NO_MEMORY;
    if (!columns_hold(dense->column, dense->n_numeric, n_features) ||
        !columns_hold(dense->flag_column, dense->n_flags, n_features) ||
        !inputs_hold(dense, *bound))
        return "an input names no column or is out of range";
    return NULL;
}

/* Adds what a part can reach to the program's sum. */
static int count_reach(double reach, int64_t *total) {
    if (!(reach <= (double)MAX_SUM)) return -1;
    *total += (int64_t)reach + 1;
    return *total > MAX_SUM ? -1 : 0;
}

static double kernel_reach(const Dense *dense, const double *vector, const double *bound) {
    double sum = 0.0;
    for (uint32_t s = 0; s < dense->n_vectors; s++) {
        double reach = 1.0;
        if (dense->degree) {
            double dot = 0.0;
            const double *of = vector + (size_t)s * dense->n_inputs;
            for (uint32_t k = 0; k < dense->n_inputs; k++) dot += bound[k] * fabs(of[k]);
            double once = reach = dense->gamma * dot + fabs(dense->coef0);
            for (int n = 1; n < dense->degree; n++) reach *= once;
        }
        reach = fabs(reach * dense->weight[s]);
        sum += reach + 1.0;
        if (!(reach < HUGE_VAL)) return HUGE_VAL;
    }
    return sum;
}

/* Side by side by WIDTH, padded by zeros. */
static Fault lay_vectors(Dense *dense, const double *vector) {
    size_t padded = ((size_t)dense->n_vectors + WIDTH - 1) / WIDTH * WIDTH;
    double *weight = room(padded, sizeof(double));
    dense->vector = room(padded * dense->n_inputs, sizeof(double));
    if (!weight || !dense->vector) {
        free(weight);
        return NO_MEMORY;
    }
    if (dense->n_vectors) memcpy(weight, dense->weight, dense->n_vectors * sizeof(double));
    free(dense->weight);
    dense->weight = weight;
    for (size_t s = 0; s < dense->n_vectors; s++)
        for (size_t k = 0; k < dense->n_inputs; k++)
            dense->vector[(s / WIDTH * dense->n_inputs + k) * WIDTH + s % WIDTH] =
                vector[s * dense->n_inputs + k];
    return NULL;
}

/* Checks and lays out what read_kernel copied. */
static Fault make_kernel(Dense *dense, const int32_t *kernel, const double *coefficient,
                         const double *vector, uint32_t n_numbers, const double *bound,
                         int64_t *total) {
    if ((uint64_t)dense->n_vectors * dense->n_inputs != n_numbers || dense->n_vectors > MAX_NODES)
        return "the arrays of a kernel machine differ in length";
    dense->degree = kernel[0] ? kernel[1] : 0;
    dense->shift = kernel[2];
    dense->gamma = coefficient[0];
    dense->coef0 = coefficient[1];
    if (kernel[0] < 0 || kernel[0] > 1 || kernel[1] < kernel[0] || kernel[1] > MAX_DEGREE ||
        dense->shift < 0 || dense->shift > MAX_SHIFT || !(dense->gamma > 0) ||
        !within(coefficient, 2, MAX_NUMBER) || !within(vector, n_numbers, MAX_NUMBER))
        return "a kernel machine's numbers are out of range";
    double reach = kernel_reach(dense, vector, bound);
    if (!(reach <= 0x1p62) || count_reach(ldexp(reach, -dense->shift), total))
        return "a kernel machine's terms are too large";
    return lay_vectors(dense, vector);
}

static Fault read_kernel(Dense *dense, const Array *arrays, const double *bound, int64_t *total) {
    int32_t *kernel = NULL;
    double *coefficient = NULL, *vector = NULL;
    uint32_t n_kernel, n_coefficients, n_numbers;
    Fault fault = copy_in(arrays, 4, &kernel, &n_kernel);
    if (!fault) fault = copy_in(arrays + 1, 8, &coefficient, &n_coefficients);
    if (!fault) fault = copy_in(arrays + 2, 8, &vector, &n_numbers);
    if (!fault) fault = copy_in(arrays + 3, 8, &dense->weight, &dense->n_vectors);
    if (!fault && (n_kernel != 3 || n_coefficients != 2))
        fault = "a kernel machine has three numbers and two coefficients";
    if (!fault) fault = make_kernel(dense, kernel, coefficient, vector, n_numbers, bound, total);
    free(kernel);
    free(coefficient);
    free(vector);
    return fault;
}

/* Checks the sizes; the numbers of weights and biases as given and as padded. */
static int layers_hold(Dense *dense, size_t *n_weights, size_t *n_biases, size_t *padded_weights,
                       size_t *padded_biases) {
    const size_t most = 1u << 28;
    size_t before = dense->n_inputs;
    *n_weights = *n_biases = *padded_weights = *padded_biases = 0;
    dense->widest = (uint32_t)whole_vectors(before);
    for (uint32_t layer = 0; layer < dense->n_layers; layer++) {
        if (dense->size[layer] < 1 || dense->activation[layer] < IDENTITY ||
            dense->activation[layer] > LOGISTIC)
            return 0;
        size_t units = (size_t)dense->size[layer], width = whole_vectors(units);
        *n_weights += before * units;
        *n_biases += units;
        *padded_weights += before * width;
        *padded_biases += width;
        if (units > most || *n_weights > most || *n_biases > most) return 0;
        if (width > dense->widest) dense->widest = (uint32_t)width;
        before = units;
    }
    return before == 1;
}

/* Pads units to whole vectors; the largest absolute value of the last unit. `bound` and `next` hold
 * the widest layer. */
static double lay_layers(Dense *dense, const double *weight, const double *bias, double *bound,
                         double *next) {
    double *to_weight = dense->layer_weight, *to_bias = dense->bias;
    size_t before = dense->n_inputs;
    for (uint32_t layer = 0; layer < dense->n_layers; layer++) {
        size_t units = (size_t)dense->size[layer], width = whole_vectors(units);
        for (size_t j = 0; j < units; j++) {
            to_bias[j] = bias[j];
            next[j] = fabs(bias[j]);
        }
        for (size_t k = 0; k < before; k++)
            for (size_t j = 0; j < units; j++) {
                to_weight[k * width + j] = weight[k * units + j];
                next[j] += fabs(weight[k * units + j]) * bound[k];
            }
        if (!within(next, units, MAX_UNIT)) return HUGE_VAL;
        for (size_t j = 0; j < units; j++)
            bound[j] = dense->activation[layer] > RELU ? 1.0 : next[j];
        weight += before * units;
        bias += units;
        to_weight += before * width;
        to_bias += width;
        before = units;
    }
    return bound[0];
}

/* Checks and lays out what read_network copied. */
static Fault make_network(Dense *dense, const double *weight, uint32_t n_weights,
                          const double *bias, uint32_t n_biases, double output,
                          const double *bound, int64_t *total) {
    size_t weights, biases, padded_weights, padded_biases;
    if (!layers_hold(dense, &weights, &biases, &padded_weights, &padded_biases) ||
        weights != n_weights || biases != n_biases || !isfinite(output) ||
        !within(weight, weights, DBL_MAX) || !within(bias, biases, DBL_MAX))
        return "the layers of a network are malformed";
    dense->output = output;
    dense->layer_weight = room(padded_weights, sizeof(double));
    dense->bias = room(padded_biases, sizeof(double));
    double *reach = room(2 * (size_t)dense->widest, sizeof(double));
    if (!dense->layer_weight || !dense->bias || !reach) {
        free(reach);
        return NO_MEMORY;
    }
    if (dense->n_inputs) memcpy(reach, bound, dense->n_inputs * sizeof(double));
    double last = lay_layers(dense, weight, bias, reach, reach + dense->widest);
    free(reach);
    return count_reach(fabs(last * output), total) ? "a network's values are too large" : NULL;
}

static Fault read_network(Dense *dense, const Array *arrays, const double *bound, int64_t *total) {
    double *weight = NULL, *bias = NULL, *output = NULL;
    uint32_t n_activations, n_weights, n_biases, n_outputs;
    Fault fault = copy_in(arrays, 4, &dense->size, &dense->n_layers);
    if (!fault) fault = copy_in(arrays + 1, 4, &dense->activation, &n_activations);
    if (!fault) fault = copy_in(arrays + 2, 8, &weight, &n_weights);
    if (!fault) fault = copy_in(arrays + 3, 8, &bias, &n_biases);
    if (!fault) fault = copy_in(arrays + 4, 8, &output, &n_outputs);
    if (!fault && (dense->n_layers < 1 || dense->n_layers > MAX_LAYERS ||
                   n_activations != dense->n_layers || n_outputs != 1))
        fault = "the layers of a network are malformed";
    if (!fault)
        fault = make_network(dense, weight, n_weights, bias, n_biases, output[0], bound, total);
    free(weight);
    free(bias);
    free(output);
    return fault;
}

static Fault read_stack(Dense *dense, const Array *arrays) {
    uint32_t n_links, n_weights, n_scales;
    Fault fault = copy_in(arrays, 4, &dense->link, &n_links);
    if (!fault) fault = copy_in(arrays + 1, 8, &dense->member_weight, &n_weights);
    if (!fault) fault = copy_in(arrays + 2, 8, &dense->member_scale, &n_scales);
    if (fault) return fault;
    if (n_weights != n_links || n_scales != n_links || n_links < 1 || n_links > MAX_MEMBERS)
        return "the arrays of a stack differ in length";
    dense->member = room(n_links, sizeof(Program *));
    if (!dense->member) return NO_MEMORY;
    dense->n_members = n_links;
    return NULL;
}

Fault join_stack(Dense *dense, uint32_t place, Program *member, int64_t *total) {
    if (place >= dense->n_members || dense->member[place]) return "a stack has no such member";
    double scale = dense->member_scale[place], reach = 1.0;
    int32_t link = dense->link[place];
    int64_t largest = member->largest_sum + member->largest_dense;
    if (link == IDENTITY) reach = (double)(largest < MAX_SCORE ? largest : MAX_SCORE) * scale;
    if ((link != IDENTITY && link != LOGISTIC) || !(scale > 0 && scale <= 1) ||
        !isfinite(dense->member_weight[place]) ||
        count_reach(fabs(reach * dense->member_weight[place]), total))
        return "a stack's links or weights are out of range";
    dense->member[place] = member;
    return NULL;
}

/* In the order of format.py: inputs, then kernel, coefficient, vector, weight; or size, activation,
 * layer_weight, bias, output. Of a stack: link, weight, and the value of a member's score unit. */
Fault read_dense(Program *program, Part *part, const Array *arrays, int64_t *total) {
    enum { INPUTS = 10 };
    Dense *dense = &part->dense;
    double *bound = NULL;
    if (part->kind == STACK) return read_stack(dense, arrays);
    Fault fault = read_inputs(dense, arrays, program->n_features, &bound);
    if (!fault)
        fault = part->kind == NETWORK ? read_network(dense, arrays + INPUTS, bound, total)
                                      : read_kernel(dense, arrays + INPUTS, bound, total);
    size_t numbers = fault ? 0 : numbers_of(part->kind, dense, 1);
    if (numbers > HERE) dense->spare = spare_new(numbers * sizeof(double));
    if (numbers > HERE && !dense->spare) fault = NO_MEMORY;
    free(bound);
    return fault;
}
