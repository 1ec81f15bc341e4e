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

typedef struct Node Node;     /* a condition */
typedef struct Source Source; /* where a column's values come from */

typedef struct {
    Shape shape;
    Span *spans;
    Source *sources; /* one a column */
    Node *where;     /* NULL where every event counts */
    uint32_t n_spans;
    int labelled; /* whether an event only counts once its label is known */
} Reads;

/* An event as tracks read it: a dict, and its label: 1, 0 or None. */
typedef struct {
    PyObject *record, *label;
} Fact;

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

/* --- _window_entry.c: each gives NULL or -1 with an exception ---------------------------------- */

Node *window_node(PyObject *said);
void window_node_free(Node *node);
/* Whether a condition holds: 1 or 0. */
int window_holds(const Node *node, const Fact *fact);
/* A tuple of what each column of a track is read from. */
Source *window_sources(PyObject *said, const Shape *shape);
void window_sources_free(Source *sources, uint32_t n);
/* An event's values for a track: 1, or 0 where it doesn't count there. */
int window_entry(const Reads *reads, const Fact *fact, Item *entry);

/* --- _window_read.c ---------------------------------------------------------------------------- */

typedef enum { NEW, REPEAT, EARLY } Place; /* as window_cell.Place */

extern const char cell_step_doc[], cell_learn_doc[];
PyObject *cell_step(PyObject *self, PyObject *args);
PyObject *cell_learn(PyObject *self, PyObject *args);
/* What the methods do; what was folded is added up. 1 where the event came too late, or was taken. */
int cell_take(Cell *cell, const Fact *fact, int64_t at, Place place, int64_t *folded);
int cell_tell(Cell *cell, PyObject *record, int64_t at, PyObject *was, PyObject *now);

/* --- _window_intake.c -------------------------------------------------------------------------- */

/* Make the type; it takes Specs and Cells of these types. */
PyTypeObject *window_intake(PyTypeObject *specs, PyTypeObject *cells);

/* A whole number of any size as Python holds it, and back: -1 with an exception where it is none of
 * at most 127 bits. */
PyObject *big_to_long(Big value);
int long_to_big(PyObject *said, Big *value);

#endif
