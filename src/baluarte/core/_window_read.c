/* Window features of one entity for one event: what window_cell.py does, with the same bits.
 *
 * Whatever doesn't fit 53 bits is divided as Python's whole numbers are, so every quotient is
 * rounded once.
 */
#include "_window_cell.h"

#include <math.h>
#include <stdlib.h>

#define EXACT ((Big)1 << 53)
#define FEW 24 /* values that are compared with one another */

/* --- numbers ---------------------------------------------------------------------------------- */

/* A computed number as a record holds it: whole numbers as integers. */
static PyObject *record_form(double value) {
    if (value == floor(value) && fabs(value) <= 9007199254740992.0)
        return PyLong_FromLongLong((long long)value);
    return PyFloat_FromDouble(value);
}

PyObject *big_to_long(Big value) {
    if (value >= INT64_MIN && value <= INT64_MAX) return PyLong_FromLongLong((long long)value);
    PyObject *high = PyLong_FromLongLong((long long)(value >> 64));
    PyObject *low = PyLong_FromUnsignedLongLong((unsigned long long)value);
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = high && bits ? PyNumber_Lshift(high, bits) : NULL;
    PyObject *found = shifted && low ? PyNumber_Or(shifted, low) : NULL;
    Py_XDECREF(high), Py_XDECREF(low), Py_XDECREF(bits), Py_XDECREF(shifted);
    return found;
}

/* A whole number of at most 127 bits; -1 with an exception for others. */
int long_to_big(PyObject *said, Big *value) {
    int overflow;
    *value = PyLong_AsLongLongAndOverflow(said, &overflow);
    if (!overflow) return PyErr_Occurred() ? -1 : 0;
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = bits ? PyNumber_Rshift(said, bits) : NULL;
    long long high = shifted ? PyLong_AsLongLong(shifted) : -1;
    Py_XDECREF(bits), Py_XDECREF(shifted);
    if (PyErr_Occurred()) return -1;
    *value = (Big)(((unsigned __int128)(__int128)high << 64) | PyLong_AsUnsignedLongLongMask(said));
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *quotient(Big above, Big below) {
    if (above <= EXACT && above >= -EXACT && below <= EXACT && below >= -EXACT)
        return record_form((double)above / (double)below); /* both exact: rounded once */
    PyObject *a = big_to_long(above), *b = big_to_long(below);
    PyObject *ratio = a && b ? PyNumber_TrueDivide(a, b) : NULL;
    Py_XDECREF(a), Py_XDECREF(b);
    if (!ratio) return NULL;
    double value = PyFloat_AsDouble(ratio);
    Py_DECREF(ratio);
    return record_form(value);
}

/* --- reading a window ------------------------------------------------------------------------- */

/* The events of one window: positions in the track, and buckets. */
typedef struct {
    const Track *track;
    uint32_t low, high;
    uint32_t first, last; /* buckets [first, last) */
} Window;

static Big number_in(const Window *w) {
    Big n = w->high - w->low;
    for (uint32_t b = w->first; b < w->last; b++) n += w->track->buckets[b]->n;
    return n;
}

static Big total_in(const Window *w, uint32_t j) {
    Big sum = 0;
    if (w->high > w->low) {
        const Item *column = track_column(w->track, j);
        sum = (Big)column[w->high].units - column[w->low].units;
    }
    for (uint32_t b = w->first; b < w->last; b++) sum += w->track->buckets[b]->columns[j].units;
    return sum;
}

static int extreme_in(const Window *w, uint32_t j, int greatest, double *found) {
    int any = 0;
    for (uint32_t b = w->first; b < w->last; b++) {
        const Old *old = w->track->buckets[b]->columns + j;
        double x = greatest ? old->high : old->low;
        if (!any || (greatest ? x > *found : x < *found)) *found = x;
        any = 1;
    }
    if (w->high == w->low) return any;
    const Item *column = track_column(w->track, j);
    for (uint32_t i = w->low; i < w->high; i++) {
        double x = column[i].number;
        if (!any || (greatest ? x > *found : x < *found)) *found = x;
        any = 1;
    }
    return any;
}

static int64_t distinct_few(const Item *items, uint32_t n) {
    int64_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        while (k < i && items[k].hash != items[i].hash) k++;
        found += k == i;
    }
    return found;
}

static int64_t distinct_many(const Item *items, uint32_t n) {
    size_t size = 64;
    while (size < 2 * (size_t)n) size *= 2;
    uint64_t *table = calloc(size, sizeof(uint64_t));
    if (!table) return NO_MEMORY;
    int64_t found = 0, zero = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = items[i].hash;
        if (!hash) {
            zero = 1;
            continue;
        }
        size_t at = hash & (size - 1);
        while (table[at] && table[at] != hash) at = (at + 1) & (size - 1);
        found += !table[at];
        table[at] = hash;
    }
    free(table);
    return found + zero;
}

static PyObject *distinct_in(const Spec *spec, const Window *w, uint32_t j) {
    uint32_t n = w->high - w->low;
    const Item *items = n ? track_column(w->track, j) + w->low : NULL;
    if (w->first == w->last) {
        int64_t found = n <= FEW ? distinct_few(items, n) : distinct_many(items, n);
        return found < 0 ? PyErr_NoMemory() : PyLong_FromLongLong(found);
    }
    uint8_t registers[REGISTERS] = {0};
    for (uint32_t i = 0; i < n; i++) sketch_add(registers, items[i].hash);
    for (uint32_t b = w->first; b < w->last; b++)
        sketch_union(registers, w->track->buckets[b]->columns[j].registers);
    return PyObject_CallFunction(spec->estimate, "y#", (char *)registers, (Py_ssize_t)REGISTERS);
}

static PyObject *empty_value(const Emit *emit) {
    PyObject *value = emit->empty ? emit->empty : Py_None;
    Py_INCREF(value);
    return value;
}

static PyObject *since_last(const Emit *emit, const Window *w, int64_t at) {
    int64_t last;
    if (w->high > w->low) last = track_times(w->track)[w->high - 1];
    else if (w->last > w->first) last = w->track->buckets[w->last - 1]->at;
    else return empty_value(emit);
    return quotient((Big)at - last, 1000000);
}

/* A feature's value; None where it has none. */
static PyObject *value_of(
    const Spec *spec, const Emit *emit, const Window *w, int64_t at, const Item *own
) {
    uint32_t j = emit->column;
    Big n, total;
    double found = 0;
    switch (emit->op) {
        case COUNT: return PyLong_FromLongLong((long long)number_in(w));
        case RATE: return record_form((double)number_in(w) / emit->seconds);
        case SINCE_LAST: return since_last(emit, w, at);
        case TOTAL: return quotient(total_in(w, j), emit->scale);
        case MEAN:
            n = number_in(w);
            return n > 0 ? quotient(total_in(w, j), n * emit->scale) : empty_value(emit);
        case DISTINCT: return distinct_in(spec, w, j);
        case RATIO:
            if (!own) Py_RETURN_NONE;
            total = total_in(w, j);
            return total ? quotient(own[j].units * number_in(w), total) : empty_value(emit);
        default:
            return extreme_in(w, j, emit->op == GREATEST, &found) ? record_form(found)
                                                                   : empty_value(emit);
    }
}

/* The event among those remembered: how many stand up to it, itself not counted and counted. */
typedef struct {
    int64_t at, floor;
    uint32_t before, after;
    const Item *own;
} Event;

static int write_span(
    const Spec *spec, const Span *span, const Track *track, const Event *event, PyObject *record
) {
    int64_t limit = event->at - span->lag, start = limit - span->window;
    if (start < event->floor) start = event->floor;
    Window w = {.track = track};
    w.high = span->lag ? track_right(track, limit, 0, track->n)
                       : span->itself ? event->after : event->before;
    w.low = track_right(track, start, 0, w.high);
    while (w.first < track->n_buckets && track->buckets[w.first]->at <= start) w.first++;
    w.last = w.first;
    while (w.last < track->n_buckets && track->buckets[w.last]->at <= limit) w.last++;
    for (uint32_t e = 0; e < span->n_emits; e++) {
        const Emit *emit = span->emits + e;
        PyObject *value = value_of(spec, emit, &w, event->at, event->own);
        if (!value) return -1;
        int failed = value != Py_None && PyDict_SetItem(record, emit->name, value);
        Py_DECREF(value);
        if (failed) return -1;
    }
    return 0;
}

/* --- events ----------------------------------------------------------------------------------- */

int cell_take(Cell *cell, const Fact *fact, int64_t at, Place place, int64_t *folded) {
    const Spec *spec = cell->spec;
    int remember = place == NEW, late = 0;
    if (at < cell->newest - spec->late) {
        late = remember;
        remember = 0;
    } else if (remember && at > cell->newest) cell->newest = at;
    Item entry[MAX_COLUMNS];
    for (uint32_t t = 0; t < spec->n_tracks; t++) {
        const Reads *reads = spec->tracks + t;
        Track *track = cell->tracks + t;
        int counts = window_entry(reads, fact, entry);
        if (counts < 0) return -1;
        Event event = {.at = at, .floor = cell->newest - spec->keep, .own = counts ? entry : NULL};
        if (counts && remember) {
            int64_t i = track_insert(track, &reads->shape, at, entry);
            if (i == NO_MEMORY) return PyErr_NoMemory(), -1;
            event.before = i < 0 ? 0 : (uint32_t)i;
            event.after = i < 0 ? 0 : (uint32_t)i + 1;
        } else {
            event.before = event.after = track_right(track, at, 0, track->n);
            if (place == REPEAT && counts && event.after && track_times(track)[event.after - 1] == at)
                event.before--; /* it stands there already */
        }
        for (uint32_t s = 0; s < reads->n_spans; s++)
            if (write_span(spec, reads->spans + s, track, &event, fact->record)) return -1;
        if (counts && track->n > 2 * SLACK &&
            (track_times(track)[SLACK] <= event.floor || track->n > spec->max_events)) {
            int tidied = track_tidy(track, &reads->shape, event.floor, spec->max_events);
            if (tidied < 0) return PyErr_NoMemory(), -1;
            *folded += tidied;
        }
    }
    return late;
}

int cell_tell(Cell *cell, PyObject *record, int64_t at, PyObject *was, PyObject *now) {
    const Spec *spec = cell->spec;
    int64_t floor = cell->newest - spec->keep;
    if (at <= floor) return 0;
    const Fact old = {.record = record, .label = was}, new = {.record = record, .label = now};
    Item entry[MAX_COLUMNS];
    for (uint32_t t = 0; t < spec->n_tracks; t++) {
        const Reads *reads = spec->tracks + t;
        Track *track = cell->tracks + t;
        if (!reads->labelled) continue;
        int counts = window_entry(reads, &old, entry);
        if (counts < 0) return -1;
        if (counts) track_remove(track, &reads->shape, at, entry);
        counts = window_entry(reads, &new, entry);
        if (counts < 0) return -1;
        if (counts && (track_insert(track, &reads->shape, at, entry) == NO_MEMORY ||
                       track_tidy(track, &reads->shape, floor, spec->max_events) < 0))
            return PyErr_NoMemory(), -1;
    }
    return 1;
}

const char cell_step_doc[] =
    "step(record, label, at, place) -> int\n\n"
    "Remember an event (place 0: new, 1: a repeat, 2: too early) and write the features of\n"
    "its windows into its record. Bit 0: it came too late; the others: tracks folded.";

PyObject *cell_step(PyObject *self, PyObject *args) {
    Fact fact;
    long long at;
    int place;
    int64_t folded = 0;
    if (!PyArg_ParseTuple(args, "O!OLi", &PyDict_Type, &fact.record, &fact.label, &at, &place))
        return NULL;
    int late = cell_take((Cell *)self, &fact, at, (Place)place, &folded);
    return late < 0 ? NULL : PyLong_FromLongLong(folded << 1 | late);
}

const char cell_learn_doc[] =
    "learn(record, at, was, now) -> bool\n\n"
    "Take an event's label in, in place of another; False where it is too old to matter.";

PyObject *cell_learn(PyObject *self, PyObject *args) {
    PyObject *record, *was, *now;
    long long at;
    if (!PyArg_ParseTuple(args, "O!LOO", &PyDict_Type, &record, &at, &was, &now)) return NULL;
    int taken = cell_tell((Cell *)self, record, at, was, now);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}
