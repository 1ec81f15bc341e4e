/* Events and labels into the cells of all groups: what WindowMemory does, a call for many events.
 *
 * What is remembered stays in Python's dicts: entities to cells, ids to times, ids to labels.
 */
#include "_window_cell.h"

#include <stdlib.h>

static PyTypeObject *spec_type, *cell_type;
static PyObject *name_of_record, *name_of_arrived_at, *name_of_label, *name_of_event_id;

typedef struct {
    PyObject *name;
    Node *where;
} Flag;

typedef struct {
    PyObject *by; /* the field of the entity, or a tuple of several */
    Spec *spec;
} Group;

typedef struct {
    PyObject_HEAD
    PyObject *time, *id; /* fields; id: NULL where events have none */
    int64_t ahead, repeat;
    Py_ssize_t max_entities, n_flags, n_groups;
    Flag *flags;
    Group *groups;
} Intake;

/* What windows.WindowCounts counts of it. */
enum { EVENTS, REPEATS, TOO_EARLY, TOO_LATE, FOLDED, LABELS, LABELS_TOO_LATE, N_COUNTS };
static const char *const count_names[N_COUNTS] = {
    "events", "repeats", "too_early", "too_late", "folded", "labels", "labels_too_late",
};

/* What a call changes. */
typedef struct {
    PyObject *cells; /* a list: a group's dict of cells */
    PyObject *known; /* a dict by event id */
    int64_t *newest; /* time of the newest event of all */
    int64_t counts[N_COUNTS];
} Memory;

static int of_all_groups(const Intake *intake, const Memory *memory) {
    if (PyList_Size(memory->cells) == intake->n_groups) return 1;
    PyErr_SetString(PyExc_ValueError, "expected a dict of cells a group");
    return 0;
}

static int count_up(PyObject *counts, const char *name, int64_t n) {
    PyObject *before = PyObject_GetAttrString(counts, name), *more = PyLong_FromLongLong(n);
    PyObject *now = before && more ? PyNumber_Add(before, more) : NULL;
    int failed = !now || PyObject_SetAttrString(counts, name, now);
    Py_XDECREF(before), Py_XDECREF(more), Py_XDECREF(now);
    return failed ? -1 : 0;
}

/* Add what was counted, also up to an event that could not be read; an exception stands. */
static int count_all(const Memory *memory, PyObject *counts) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    int failed = type != NULL;
    for (int i = 0; i < N_COUNTS; i++)
        if (memory->counts[i] && count_up(counts, count_names[i], memory->counts[i])) {
            if (failed) PyErr_Clear();
            else return -1;
        }
    PyErr_Restore(type, value, trace);
    return failed ? -1 : 0;
}

/* --- parts of a record ------------------------------------------------------------------------ */

/* A field's value; NULL where it is missing, with an exception where it can't be asked for. */
static PyObject *value_in(PyObject *record, PyObject *field) {
    PyObject *value = PyDict_GetItemWithError(record, field);
    if (!value || value == Py_None) return NULL;
    Py_INCREF(value);
    return value;
}

/* int(value) of 64 bits: -1 with an exception. */
static int whole_of(PyObject *value, int64_t *found) {
    PyObject *whole = PyLong_CheckExact(value) ? value : PyNumber_Long(value);
    if (!whole) return -1;
    *found = PyLong_AsLongLong(whole);
    if (whole != value) Py_DECREF(whole);
    return PyErr_Occurred() ? -1 : 0;
}

/* A whole number as Python holds it: the one that it was read from, where that is one. */
static PyObject *whole_again(PyObject *value, int64_t found) {
    if (!PyLong_CheckExact(value)) return PyLong_FromLongLong(found);
    Py_INCREF(value);
    return value;
}

/* The entity of an event; NULL where a part of it is missing. */
static PyObject *key_in(PyObject *record, PyObject *by) {
    if (!PyTuple_Check(by)) return value_in(record, by);
    Py_ssize_t n = PyTuple_Size(by);
    PyObject *key = PyTuple_New(n);
    for (Py_ssize_t i = 0; key && i < n; i++) {
        PyObject *part = value_in(record, PyTuple_GetItem(by, i));
        if (!part || PyTuple_SetItem(key, i, part)) Py_CLEAR(key);
    }
    return key;
}

/* A group's dict, held. */
static PyObject *cells_of_group(const Memory *memory, Py_ssize_t g) {
    PyObject *cells = PyList_GetItem(memory->cells, g);
    if (cells && !PyDict_Check(cells)) {
        PyErr_SetString(PyExc_TypeError, "expected a dict of cells");
        return NULL;
    }
    Py_XINCREF(cells);
    return cells;
}

/* The cell of a key, held; NULL where there is none, with an exception where it is another's. */
static Cell *cell_in(PyObject *cells, PyObject *key, const Spec *spec) {
    PyObject *cell = PyDict_GetItemWithError(cells, key);
    if (!cell) return NULL;
    if (!Py_IS_TYPE(cell, cell_type) || ((Cell *)cell)->spec != spec) {
        PyErr_SetString(PyExc_TypeError, "expected a cell of this plan");
        return NULL;
    }
    Py_INCREF(cell);
    return (Cell *)cell;
}

/* --- events ----------------------------------------------------------------------------------- */

static int write_flags(const Intake *intake, const Fact *fact) {
    const Fact unlabelled = {.record = fact->record, .label = Py_None};
    for (Py_ssize_t i = 0; i < intake->n_flags; i++) {
        int found = window_holds(intake->flags[i].where, &unlabelled);
        PyObject *value = found < 0 ? NULL : PyLong_FromLong(found);
        if (!value) return -1;
        int failed = PyDict_SetItem(fact->record, intake->flags[i].name, value);
        Py_DECREF(value);
        if (failed) return -1;
    }
    return 0;
}

static int is_repeat(const Intake *intake, int64_t at, int64_t known) {
    Big apart = at > known ? (Big)at - known : (Big)known - at;
    return apart <= intake->repeat;
}

/* What an event is to the state, counted; -1 with an exception. */
static int place_of(const Intake *intake, Memory *memory, const Fact *fact, PyObject *time, int64_t at,
                    PyObject *arrived) {
    PyObject *id = NULL;
    if (intake->id) {
        PyObject *own = value_in(fact->record, intake->id);
        if (!own && PyErr_Occurred()) return -1;
        id = own ? PyObject_Str(own) : NULL;
        Py_XDECREF(own);
        if (own && !id) return -1;
    }
    int64_t arrived_at, known_at;
    int place = -1, count = EVENTS;
    PyObject *known = id ? PyDict_GetItemWithError(memory->known, id) : NULL;
    if (PyErr_Occurred()) goto done;
    if (known && whole_of(known, &known_at)) goto done;
    if (arrived != Py_None && whole_of(arrived, &arrived_at)) goto done;
    if (arrived != Py_None && (Big)at > (Big)arrived_at + intake->ahead) place = EARLY, count = TOO_EARLY;
    else if (known && is_repeat(intake, at, known_at)) place = REPEAT, count = REPEATS;
    else place = NEW;
    if (place == NEW) {
        PyObject *when = id ? whole_again(time, at) : NULL;
        if (id && (!when || PyDict_SetItem(memory->known, id, when))) place = -1;
        Py_XDECREF(when);
        if (at > *memory->newest) *memory->newest = at;
    }
    memory->counts[count] += place >= 0;
done:
    Py_XDECREF(id);
    return place;
}

/* A new entity's cell, held; only what is remembered makes it stay. */
static Cell *new_cell(const Intake *intake, PyObject *cells, PyObject *key, Spec *spec, Place place,
                      PyObject *make_room) {
    if (place == NEW && PyDict_Size(cells) >= intake->max_entities) {
        PyObject *done = PyObject_CallFunctionObjArgs(make_room, cells, NULL);
        if (!done) return NULL;
        Py_DECREF(done);
    }
    PyObject *cell = PyObject_CallFunctionObjArgs((PyObject *)cell_type, (PyObject *)spec, NULL);
    if (cell && place == NEW && PyDict_SetItem(cells, key, cell)) Py_CLEAR(cell);
    return (Cell *)cell;
}

static int see_group(const Intake *intake, Memory *memory, Py_ssize_t g, const Fact *fact, int64_t at,
                     Place place, PyObject *make_room) {
    const Group *group = intake->groups + g;
    PyObject *key = key_in(fact->record, group->by);
    if (!key) return PyErr_Occurred() ? -1 : 0;
    PyObject *cells = cells_of_group(memory, g);
    Cell *cell = cells ? cell_in(cells, key, group->spec) : NULL;
    if (!cell && !PyErr_Occurred())
        cell = new_cell(intake, cells, key, group->spec, place, make_room);
    int late = cell ? cell_take(cell, fact, at, place, memory->counts + FOLDED) : -1;
    if (late > 0) memory->counts[TOO_LATE]++;
    Py_DECREF(key);
    Py_XDECREF(cells), Py_XDECREF((PyObject *)cell);
    return late < 0 ? -1 : 0;
}

static int see_fact(const Intake *intake, Memory *memory, const Fact *fact, PyObject *arrived,
                    PyObject *make_room) {
    if (!PyDict_Check(fact->record)) {
        PyErr_SetString(PyExc_TypeError, "expected a record that is a dict");
        return -1;
    }
    if (write_flags(intake, fact)) return -1;
    PyObject *own = value_in(fact->record, intake->time);
    if (!own && PyErr_Occurred()) return -1;
    PyObject *time = own ? own : arrived;
    if (time == Py_None) return 0; /* `own` is none, then */
    int64_t at;
    int place = whole_of(time, &at) ? -1 : place_of(intake, memory, fact, time, at, arrived);
    Py_XDECREF(own);
    if (place < 0) return -1;
    for (Py_ssize_t g = 0; g < intake->n_groups; g++)
        if (see_group(intake, memory, g, fact, at, (Place)place, make_room)) return -1;
    return 0;
}

static int see_one(const Intake *intake, Memory *memory, PyObject *seen, PyObject *make_room) {
    Fact fact = {.record = PyObject_GetAttr(seen, name_of_record)};
    fact.label = fact.record ? PyObject_GetAttr(seen, name_of_label) : NULL;
    PyObject *arrived = fact.label ? PyObject_GetAttr(seen, name_of_arrived_at) : NULL;
    int failed = !arrived || see_fact(intake, memory, &fact, arrived, make_room);
    Py_XDECREF(fact.record), Py_XDECREF(fact.label), Py_XDECREF(arrived);
    return failed ? -1 : 0;
}

PyDoc_STRVAR(see_doc,
             "see(events, cells, ids, counts, newest, make_room)\n\n"
             "Remember events, in order, and write the window features into their records. What is\n"
             "done is counted, also up to an event that can't be read; newest is an array of one.");

static PyObject *intake_see(PyObject *self, PyObject *args) {
    const Intake *intake = (Intake *)self;
    PyObject *events, *counts, *newest, *make_room;
    Memory memory = {0};
    if (!PyArg_ParseTuple(args, "OO!O!OOO", &events, &PyList_Type, &memory.cells, &PyDict_Type,
                          &memory.known, &counts, &newest, &make_room) ||
        !of_all_groups(intake, &memory))
        return NULL;
    Py_buffer view;
    if (PyObject_GetBuffer(newest, &view, PyBUF_WRITABLE)) return NULL;
    memory.newest = view.buf;
    Py_ssize_t n = PySequence_Size(events);
    int failed = n < 0;
    if (view.len != (Py_ssize_t)sizeof(int64_t)) {
        PyErr_SetString(PyExc_ValueError, "expected an array of one time");
        failed = 1;
    }
    for (Py_ssize_t i = 0; !failed && i < n; i++) {
        PyObject *seen = PySequence_GetItem(events, i);
        failed = !seen || see_one(intake, &memory, seen, make_room);
        Py_XDECREF(seen);
    }
    PyBuffer_Release(&view);
    if (count_all(&memory, counts)) return NULL;
    Py_RETURN_NONE;
}

/* --- labels ----------------------------------------------------------------------------------- */

/* What was said of an event before: a (time, label) of two whole numbers, or NULL. */
static int label_before(PyObject *known, PyObject **label) {
    *label = NULL;
    if (!known) return PyErr_Occurred() ? -1 : 0;
    if (!PyTuple_Check(known) || PyTuple_Size(known) != 2) {
        PyErr_SetString(PyExc_TypeError, "expected a time and a label");
        return -1;
    }
    *label = PyTuple_GetItem(known, 1);
    Py_INCREF(*label);
    return 0;
}

static int tell_group(const Intake *intake, const Memory *memory, Py_ssize_t g, PyObject *record,
                      int64_t at, PyObject *was, PyObject *now) {
    const Group *group = intake->groups + g;
    PyObject *key = key_in(record, group->by);
    if (!key) return PyErr_Occurred() ? -1 : 0;
    PyObject *cells = cells_of_group(memory, g);
    Cell *cell = cells ? cell_in(cells, key, group->spec) : NULL;
    int taken = PyErr_Occurred() ? -1 : cell ? cell_tell(cell, record, at, was, now) : 0;
    Py_DECREF(key);
    Py_XDECREF(cells), Py_XDECREF((PyObject *)cell);
    return taken;
}

/* One label: 1 where it changed something that can still matter. */
static int tell(const Intake *intake, Memory *memory, PyObject *id, PyObject *record, PyObject *label) {
    if (!PyDict_Check(record)) {
        PyErr_SetString(PyExc_TypeError, "expected a record that is a dict");
        return -1;
    }
    PyObject *own = value_in(record, intake->time), *was = NULL;
    if (!own) return PyErr_Occurred() ? -1 : 0;
    int64_t at;
    int taken = -1;
    if (label_before(PyDict_GetItemWithError(memory->known, id), &was)) goto done;
    int same = was ? PyObject_RichCompareBool(was, label, Py_EQ) : 0;
    if (same) {
        taken = same < 0 ? -1 : 0;
        goto done;
    }
    if (whole_of(own, &at)) goto done;
    int any = 0;
    for (Py_ssize_t g = 0; g < intake->n_groups; g++) {
        int one = tell_group(intake, memory, g, record, at, was ? was : Py_None, label);
        if (one < 0) goto done;
        any |= one;
    }
    memory->counts[any ? LABELS : LABELS_TOO_LATE]++;
    PyObject *when = whole_again(own, at);
    PyObject *said = when ? PyTuple_Pack(2, when, label) : NULL;
    Py_XDECREF(when);
    if (said && !PyDict_SetItem(memory->known, id, said)) taken = any;
    Py_XDECREF(said);
done:
    Py_DECREF(own);
    Py_XDECREF(was);
    return taken;
}

static int tell_one(const Intake *intake, Memory *memory, PyObject *told) {
    PyObject *id = PyObject_GetAttr(told, name_of_event_id);
    PyObject *record = id ? PyObject_GetAttr(told, name_of_record) : NULL;
    PyObject *label = record ? PyObject_GetAttr(told, name_of_label) : NULL;
    int taken = label ? tell(intake, memory, id, record, label) : -1;
    Py_XDECREF(id), Py_XDECREF(record), Py_XDECREF(label);
    return taken;
}

PyDoc_STRVAR(learn_doc,
             "learn(labels, cells, known, counts) -> int\n\n"
             "Take labels in; how many changed something that can still matter.");

static PyObject *intake_learn(PyObject *self, PyObject *args) {
    const Intake *intake = (Intake *)self;
    PyObject *labels, *counts;
    Memory memory = {0};
    if (!PyArg_ParseTuple(args, "OO!O!O", &labels, &PyList_Type, &memory.cells, &PyDict_Type,
                          &memory.known, &counts) ||
        !of_all_groups(intake, &memory))
        return NULL;
    Py_ssize_t n = PySequence_Size(labels);
    int failed = n < 0;
    long taken = 0;
    for (Py_ssize_t i = 0; !failed && i < n; i++) {
        PyObject *told = PySequence_GetItem(labels, i);
        int one = told ? tell_one(intake, &memory, told) : -1;
        Py_XDECREF(told);
        failed = one < 0;
        taken += one > 0;
    }
    return count_all(&memory, counts) ? NULL : PyLong_FromLong(taken);
}

/* --- the type --------------------------------------------------------------------------------- */

static int is_tuple(PyObject *said) {
    if (PyTuple_Check(said)) return 1;
    PyErr_SetString(PyExc_ValueError, "expected a pair");
    return 0;
}

static int read_flags(Intake *intake, PyObject *said) {
    Py_ssize_t n = PyTuple_Size(said);
    if (!(intake->flags = calloc((size_t)n + 1, sizeof(Flag)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name, *where, *pair = PyTuple_GetItem(said, i);
        if (!is_tuple(pair) || !PyArg_ParseTuple(pair, "UO", &name, &where)) return -1;
        Flag *flag = intake->flags + intake->n_flags++;
        Py_INCREF(name);
        flag->name = name;
        if (!(flag->where = window_node(where))) return -1;
    }
    return 0;
}

static int read_groups(Intake *intake, PyObject *said) {
    Py_ssize_t n = PyTuple_Size(said);
    if (!(intake->groups = calloc((size_t)n + 1, sizeof(Group)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *by, *spec, *pair = PyTuple_GetItem(said, i);
        if (!is_tuple(pair) ||
            !PyArg_ParseTuple(pair, "O!O!", &PyTuple_Type, &by, spec_type, &spec))
            return -1;
        if (!PyTuple_Size(by)) {
            PyErr_SetString(PyExc_ValueError, "expected the fields of an entity");
            return -1;
        }
        Group *group = intake->groups + intake->n_groups++;
        group->by = PyTuple_Size(by) == 1 ? PyTuple_GetItem(by, 0) : by;
        group->spec = (Spec *)spec;
        Py_INCREF(group->by), Py_INCREF(spec);
    }
    return 0;
}

static PyObject *intake_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)named;
    PyObject *time, *id, *flags, *groups;
    long long ahead, repeat;
    Py_ssize_t max_entities;
    if (!PyArg_ParseTuple(args, "UOLLnO!O!", &time, &id, &ahead, &repeat, &max_entities, &PyTuple_Type,
                          &flags, &PyTuple_Type, &groups))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Intake *intake = (Intake *)alloc(type, 0);
    if (!intake) return NULL;
    Py_INCREF(time);
    intake->time = time;
    intake->id = id == Py_None ? NULL : id;
    Py_XINCREF(intake->id);
    intake->ahead = ahead, intake->repeat = repeat, intake->max_entities = max_entities;
    if (!read_flags(intake, flags) && !read_groups(intake, groups)) return (PyObject *)intake;
    Py_DECREF(intake);
    return NULL;
}

static void intake_free(PyObject *self) {
    Intake *intake = (Intake *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t i = 0; i < intake->n_flags; i++) {
        Py_XDECREF(intake->flags[i].name);
        window_node_free(intake->flags[i].where);
    }
    for (Py_ssize_t i = 0; i < intake->n_groups; i++) {
        Py_XDECREF(intake->groups[i].by);
        Py_XDECREF((PyObject *)intake->groups[i].spec);
    }
    free(intake->flags), free(intake->groups);
    Py_XDECREF(intake->time), Py_XDECREF(intake->id);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef intake_methods[] = {
    {"see", intake_see, METH_VARARGS, see_doc},
    {"learn", intake_learn, METH_VARARGS, learn_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot intake_slots[] = {
    {Py_tp_new, (void *)intake_new},
    {Py_tp_dealloc, (void *)intake_free},
    {Py_tp_methods, intake_methods},
    {Py_tp_doc, "Intake(time, id, ahead, repeat, max_entities, flags, groups): events into cells."},
    {0, NULL},
};

static PyType_Spec spec_of_intake = {
    "baluarte.core._windows.Intake", sizeof(Intake), 0, Py_TPFLAGS_DEFAULT, intake_slots,
};

PyTypeObject *window_intake(PyTypeObject *specs, PyTypeObject *cells) {
    spec_type = specs, cell_type = cells;
    name_of_record = PyUnicode_InternFromString("record");
    name_of_arrived_at = PyUnicode_InternFromString("arrived_at");
    name_of_label = PyUnicode_InternFromString("label");
    name_of_event_id = PyUnicode_InternFromString("event_id");
    if (!name_of_record || !name_of_arrived_at || !name_of_label || !name_of_event_id) return NULL;
    return (PyTypeObject *)PyType_FromSpec(&spec_of_intake);
}
