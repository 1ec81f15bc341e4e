/* What Python holds: a Spec says what is kept and read, a Cell keeps it of one entity. */
#ifndef BALUARTE_WINDOW_CELL_H
#define BALUARTE_WINDOW_CELL_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include "_window.h"

typedef enum { COUNT, RATE, SINCE_LAST, TOTAL, MEAN, LEAST, GREATEST, DISTINCT, RATIO } Op;

typedef struct {
    PyObject *name, *empty; /* empty: NULL where an empty window has no value */
    double seconds;
    int64_t scale;
    uint32_t column;
    Op op;
} Emit;

typedef struct {
    int64_t window, lag;
    Emit *emits;
    uint32_t n_emits;
    int itself;
} Span;

typedef struct {
    Shape shape;
    Span *spans;
    uint32_t n_spans;
} Reads;

typedef struct {
    PyObject_HEAD
    PyObject *estimate; /* registers to a number */
    int64_t late, keep;
    uint32_t max_events, n_tracks;
    Reads *tracks;
} Spec;

typedef struct {
    PyObject_VAR_HEAD
    Spec *spec;
    int64_t newest;
    Track tracks[];
} Cell;

extern const char cell_step_doc[], cell_learn_doc[];
PyObject *cell_step(PyObject *self, PyObject *args);
PyObject *cell_learn(PyObject *self, PyObject *args);

/* A whole number of any size as Python holds it, and back: -1 with an exception where it is none of
 * at most 127 bits. */
PyObject *big_to_long(Big value);
int long_to_big(PyObject *said, Big *value);

#endif
