/* What an event says for a track: conditions (condition.py) and columns (window_plan.py).
 *
 * Values of the types that records have are read here. Anything else is asked of the Python that
 * stands beside each part, so there is nothing that both could read differently.
 */
#include "_window_cell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_UNITS ((int64_t)1 << 46) /* as window_track.MAX_UNITS */
#define EXACT ((int64_t)1 << 53)
#define HOUR_US INT64_C(3600000000)
#define DAY_US INT64_C(86400000000)
#define THURSDAY 3 /* 1970-01-01 was one; 0 is Monday */
#define MAX_DEPTH 100

enum { NO = 0, YES = 1, FAILED = -1 };
typedef enum { ANY, ALL, NOT, COMPARE, AMONG } NodeKind;
typedef enum { LABEL, TEXT, NUMBER, TRUTH, HOUR, WEEKDAY } Form;
typedef enum { OF_LABEL, OF_UNITS, OF_NUMBER, OF_TEST, OF_OTHER } Origin;

struct Node {
    PyObject *test; /* the same in Python */
    PyObject *field, *wanted;
    struct Node *parts;
    double number; /* wanted, of NUMBER, HOUR and WEEKDAY */
    Py_ssize_t n_parts;
    NodeKind kind;
    Form form;
    int sign; /* Py_LT and its like */
};

struct Source {
    PyObject *read; /* the same in Python */
    PyObject *field;
    Node *where;
    int64_t scale;
    Origin origin;
};

/* Where a name stands in a list that ends with NULL; -1 with an exception where it doesn't. */
static int place_in(const char *const *names, const char *name) {
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return i;
    PyErr_Format(PyExc_ValueError, "expected a known word, found %s", name);
    return -1;
}

/* --- conditions: made ------------------------------------------------------------------------- */

static void node_clear(Node *node) {
    for (Py_ssize_t i = 0; i < node->n_parts; i++) node_clear(node->parts + i);
    free(node->parts);
    Py_XDECREF(node->test), Py_XDECREF(node->field), Py_XDECREF(node->wanted);
}

void window_node_free(Node *node) {
    if (!node) return;
    node_clear(node);
    free(node);
}

static int node_fill(Node *node, PyObject *said, int depth) {
    static const char *const kinds[] = {"any", "all", "not", "compare", "among", NULL};
    static const char *const forms[] = {"label", "text", "number", "truth", "hour", "weekday", NULL};
    static const char *const signs[] = {"<", "<=", "==", "!=", ">", ">=", NULL}; /* as Py_LT … Py_GE */
    PyObject *test, *parts, *field, *wanted;
    const char *kind, *form, *sign;
    if (depth > MAX_DEPTH || !PyTuple_Check(said)) {
        PyErr_SetString(PyExc_ValueError, "expected a condition");
        return -1;
    }
    if (!PyArg_ParseTuple(said, "sOO!sUsO", &kind, &test, &PyTuple_Type, &parts, &form, &field, &sign,
                          &wanted))
        return -1;
    int as_kind = place_in(kinds, kind), as_form = place_in(forms, form);
    if (as_kind < 0 || as_form < 0) return -1;
    node->kind = (NodeKind)as_kind, node->form = (Form)as_form;
    node->test = test, node->field = field, node->wanted = wanted;
    Py_INCREF(test), Py_INCREF(field), Py_INCREF(wanted);
    if (node->kind == COMPARE && (node->sign = place_in(signs, sign)) < 0) return -1;
    int of_number = node->form == NUMBER || node->form == HOUR || node->form == WEEKDAY;
    if (node->kind == COMPARE && of_number) {
        node->number = PyFloat_AsDouble(wanted);
        if (PyErr_Occurred()) return -1;
    }
    if (node->kind == AMONG && !PyFrozenSet_CheckExact(wanted)) {
        PyErr_SetString(PyExc_ValueError, "expected a frozenset");
        return -1;
    }
    Py_ssize_t n = PyTuple_Size(parts);
    if (node->kind == NOT && n != 1) {
        PyErr_SetString(PyExc_ValueError, "expected one part");
        return -1;
    }
    if (!(node->parts = calloc((size_t)n + 1, sizeof(Node)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        node->n_parts++; /* whatever was made of it is given back with the others */
        if (node_fill(node->parts + i, PyTuple_GetItem(parts, i), depth + 1)) return -1;
    }
    return 0;
}

Node *window_node(PyObject *said) {
    Node *node = calloc(1, sizeof(Node));
    if (!node) return (Node *)PyErr_NoMemory();
    if (!node_fill(node, said, 0)) return node;
    window_node_free(node);
    return NULL;
}

/* --- conditions: asked ------------------------------------------------------------------------ */

static int asked_in_python(PyObject *test, const Fact *fact) {
    PyObject *found = PyObject_CallFunctionObjArgs(test, fact->record, fact->label, NULL);
    if (!found) return FAILED;
    int yes = PyObject_IsTrue(found);
    Py_DECREF(found);
    return yes;
}

/* A number of a type that compares as a double does: 1, or 0 where Python must be asked. */
static int plain_number(PyObject *value, Form form, double *found) {
    if (PyFloat_CheckExact(value)) {
        *found = PyFloat_AsDouble(value);
        return form == NUMBER;
    }
    if (!PyLong_CheckExact(value)) return 0;
    int overflow;
    int64_t whole = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return 0;
    if (form == NUMBER) {
        *found = (double)whole;
        return whole <= EXACT && whole >= -EXACT;
    }
    int64_t rest = whole % DAY_US, day = whole / DAY_US;
    if (rest < 0) rest += DAY_US, day--;
    int64_t weekday = (day + THURSDAY) % 7;
    *found = (double)(form == HOUR ? rest / HOUR_US : weekday < 0 ? weekday + 7 : weekday);
    return 1;
}

static int compared(double a, int sign, double b) {
    switch (sign) {
        case Py_LT: return a < b;
        case Py_LE: return a <= b;
        case Py_EQ: return a == b;
        case Py_NE: return a != b;
        case Py_GT: return a > b;
        default: return a >= b;
    }
}

static int leaf_holds(const Node *node, const Fact *fact) {
    PyObject *value = fact->label;
    if (node->form != LABEL) value = PyDict_GetItemWithError(fact->record, node->field);
    if (!value) return PyErr_Occurred() ? FAILED : NO;
    if (value == Py_None) return NO;
    double number;
    switch (node->form) {
        case TEXT:
            if (!PyUnicode_CheckExact(value)) break;
            return node->kind == AMONG ? PySet_Contains(node->wanted, value)
                                       : PyObject_RichCompareBool(value, node->wanted, node->sign);
        case LABEL:
        case TRUTH:
            if (!PyLong_CheckExact(value) && !PyBool_Check(value)) break;
            return node->kind == AMONG ? PySet_Contains(node->wanted, value)
                                       : PyObject_RichCompareBool(value, node->wanted, node->sign);
        default:
            if (node->kind == AMONG || !plain_number(value, node->form, &number)) break;
            return compared(number, node->sign, node->number);
    }
    return asked_in_python(node->test, fact);
}

static int node_holds(const Node *node, const Fact *fact) {
    if (node->kind == COMPARE || node->kind == AMONG) return leaf_holds(node, fact);
    if (node->kind == NOT) {
        int found = node_holds(node->parts, fact);
        return found < 0 ? FAILED : !found;
    }
    int stop = node->kind == ANY;
    for (Py_ssize_t i = 0; i < node->n_parts; i++) {
        int found = node_holds(node->parts + i, fact);
        if (found < 0 || found == stop) return found;
    }
    return !stop;
}

int window_holds(const Node *node, const Fact *fact) { return node_holds(node, fact); }

/* --- columns ---------------------------------------------------------------------------------- */

void window_sources_free(Source *sources, uint32_t n) {
    if (!sources) return;
    for (uint32_t j = 0; j < n; j++) {
        Py_XDECREF(sources[j].read), Py_XDECREF(sources[j].field);
        window_node_free(sources[j].where);
    }
    free(sources);
}

static int source_fill(Source *source, PyObject *said, Kind kind) {
    static const char *const origins[] = {"label", "units", "number", "test", "other", NULL};
    PyObject *read, *field, *where;
    const char *origin;
    long long scale;
    if (!PyTuple_Check(said)) {
        PyErr_SetString(PyExc_ValueError, "expected a column");
        return -1;
    }
    if (!PyArg_ParseTuple(said, "sOULO", &origin, &read, &field, &scale, &where)) return -1;
    int as_origin = place_in(origins, origin);
    if (as_origin < 0) return -1;
    source->origin = (Origin)as_origin, source->scale = scale;
    source->read = read, source->field = field;
    Py_INCREF(read), Py_INCREF(field);
    int fits = (source->origin != OF_UNITS && source->origin != OF_TEST) || kind == SUM;
    fits = fits && (source->origin != OF_NUMBER || kind == VALUE);
    if (!fits || (source->origin == OF_TEST) != (where != Py_None) || scale < 1) {
        PyErr_SetString(PyExc_ValueError, "expected a column of its track's kind");
        return -1;
    }
    return where != Py_None && !(source->where = window_node(where)) ? -1 : 0;
}

Source *window_sources(PyObject *said, const Shape *shape) {
    if (PyTuple_Size(said) != (Py_ssize_t)shape->n_columns) {
        PyErr_SetString(PyExc_ValueError, "expected a source a column");
        return NULL;
    }
    Source *sources = calloc(shape->n_columns + 1, sizeof(Source));
    if (!sources) return (Source *)PyErr_NoMemory();
    for (uint32_t j = 0; j < shape->n_columns; j++)
        if (source_fill(sources + j, PyTuple_GetItem(said, (Py_ssize_t)j), shape->kinds[j])) {
            window_sources_free(sources, shape->n_columns);
            return NULL;
        }
    return sources;
}

/* What Python found, as the column holds it. */
static int taken(PyObject *value, Kind kind, Item *item) {
    if (value == Py_None) return NO;
    if (kind == SUM) item->units = PyLong_AsLongLong(value);
    else if (kind == VALUE) item->number = PyFloat_AsDouble(value);
    else item->hash = PyLong_AsUnsignedLongLong(value);
    return PyErr_Occurred() ? FAILED : YES;
}

static int read_in_python(const Source *source, Kind kind, const Fact *fact, Item *item) {
    PyObject *value = PyObject_CallFunctionObjArgs(source->read, fact->record, fact->label, NULL);
    if (!value) return FAILED;
    int found = taken(value, kind, item);
    Py_DECREF(value);
    return found;
}

/* round(value * scale), halves to even, whatever the rounding mode is. */
static int read_units(const Source *source, PyObject *value, const Fact *fact, Item *item) {
    if (PyLong_CheckExact(value)) {
        int overflow;
        Big units = (Big)PyLong_AsLongLongAndOverflow(value, &overflow) * source->scale;
        if (overflow || units > MAX_UNITS || units < -MAX_UNITS) return NO;
        item->units = (int64_t)units;
        return YES;
    }
    if (PyUnicode_Check(value)) return NO;
    double exact = PyFloat_CheckExact(value) ? PyFloat_AsDouble(value) * (double)source->scale : NAN;
    if (!isfinite(exact)) return read_in_python(source, SUM, fact, item); /* which says what is odd */
    double whole = floor(exact), rest = exact - whole;
    if (rest > 0.5 || (rest == 0.5 && fmod(whole, 2) != 0)) whole += 1;
    if (whole > (double)MAX_UNITS || whole < -(double)MAX_UNITS) return NO;
    item->units = (int64_t)whole;
    return YES;
}

static int read_column(const Source *source, Kind kind, const Fact *fact, Item *item) {
    if (source->origin == OF_OTHER) return read_in_python(source, kind, fact, item);
    if (source->origin == OF_LABEL) return taken(fact->label, kind, item);
    if (source->origin == OF_TEST) {
        int found = window_holds(source->where, fact);
        item->units = found;
        return found < 0 ? FAILED : YES;
    }
    PyObject *value = PyDict_GetItemWithError(fact->record, source->field);
    if (!value) return PyErr_Occurred() ? FAILED : NO;
    if (value == Py_None) return NO;
    if (source->origin == OF_UNITS) return read_units(source, value, fact, item);
    if (!PyFloat_CheckExact(value)) return read_in_python(source, kind, fact, item);
    item->number = PyFloat_AsDouble(value);
    return YES;
}

int window_entry(const Reads *reads, const Fact *fact, Item *entry) {
    if (reads->labelled && fact->label == Py_None) return NO;
    int found = reads->where ? window_holds(reads->where, fact) : YES;
    if (found != YES) return found;
    for (uint32_t j = 0; j < reads->shape.n_columns; j++) {
        int one = read_column(reads->sources + j, reads->shape.kinds[j], fact, entry + j);
        if (one < 0) return FAILED;
        if (!one) found = NO; /* the others are read all the same, as Python does */
    }
    return found;
}
