/* Scores to bands, points and probabilities by the sealed tables. core/bands.py has the same in Python,
 * which is the rule: a probability is one interpolation, in the same order of operations.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <stdint.h>

/* How many of n ascending numbers are below x, or at it too. */
static Py_ssize_t below(const int64_t *table, Py_ssize_t n, int64_t x, int at_too) {
    Py_ssize_t low = 0, high = n;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (table[middle] < x || (at_too && table[middle] == x))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Scores are within 2**53 of zero: core/decision.py; any other difference is taken modulo 2**64. */
static double apart(int64_t high, int64_t low) {
    return (double)(int64_t)((uint64_t)high - (uint64_t)low);
}

static double probability_of(const int64_t *s, const double *p, Py_ssize_t n, int64_t score) {
    Py_ssize_t i = below(s, n, score, 1);
    if (i == 0) return p[0];
    if (i == n) return p[n - 1];
    double share = apart(score, s[i - 1]) / apart(s[i], s[i - 1]);
    return p[i - 1] + (p[i] - p[i - 1]) * share;
}

enum { SCORES, THRESHOLDS, CUTS, KNOTS, PROBABILITIES, BANDS, POINTS, PROBABILITY, N_COLUMNS };

/* read(scores, thresholds, cuts, knots, their probabilities, bands, points, probability): the last three
 * are written, an item a score; all are buffers of int64, probabilities of doubles. */
static PyObject *read_tables(PyObject *module, PyObject *args) {
    PyObject *given[N_COLUMNS];
    Py_buffer views[N_COLUMNS];
    Py_ssize_t n[N_COLUMNS];
    int n_open = 0, fits = 1;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOOOOO:read", &given[0], &given[1], &given[2], &given[3],
                          &given[4], &given[5], &given[6], &given[7]))
        return NULL;
    for (; n_open < N_COLUMNS; n_open++) {
        int flags = PyBUF_C_CONTIGUOUS | (n_open >= BANDS ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(given[n_open], &views[n_open], flags) < 0) break;
        n[n_open] = views[n_open].len / 8;
        fits &= views[n_open].itemsize == 8 && views[n_open].len % 8 == 0;
    }
    if (n_open == N_COLUMNS) {
        fits &= n[BANDS] == n[SCORES] && n[POINTS] == n[SCORES] && n[PROBABILITY] == n[SCORES] &&
                n[KNOTS] >= 1 && n[KNOTS] == n[PROBABILITIES];
        if (!fits) PyErr_SetString(PyExc_ValueError, "expected columns of one length, of 8 bytes");
        for (Py_ssize_t i = 0; fits && i < n[SCORES]; i++) {
            int64_t score = ((const int64_t *)views[SCORES].buf)[i];
            ((int64_t *)views[BANDS].buf)[i] =
                below(views[THRESHOLDS].buf, n[THRESHOLDS], score, 0);
            ((int64_t *)views[POINTS].buf)[i] = below(views[CUTS].buf, n[CUTS], score, 1);
            ((double *)views[PROBABILITY].buf)[i] =
                probability_of(views[KNOTS].buf, views[PROBABILITIES].buf, n[KNOTS], score);
        }
    }
    while (n_open > 0) PyBuffer_Release(&views[--n_open]);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"read", read_tables, METH_VARARGS, "Bands, points and probabilities of scores, into columns."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_bands", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__bands(void) { return PyModuleDef_Init(&definition); }
