/* The Python module of window features: Spec, Cell and Intake, over the files that their headers name. */
#include "_window_cell.h"

#include <stdlib.h>
#include <string.h>

static PyTypeObject *spec_type, *cell_type;

static int refuse(const char *message) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, message);
    return -1;
}

/* --- Spec ------------------------------------------------------------------------------------- */

static int read_emit(Emit *emit, PyObject *said, uint32_t n_columns) {
    PyObject *name, *empty;
    int op;
    long column;
    long long scale;
    if (!PyTuple_Check(said) ||
        !PyArg_ParseTuple(said, "UilLOd", &name, &op, &column, &scale, &empty, &emit->seconds))
        return refuse("expected (name, op, column, scale, empty, seconds)");
    int reads_column = op > SINCE_LAST;
    if (op < COUNT || op > RATIO || scale < 1 ||
        (reads_column && (column < 0 || column >= (long)n_columns)))
        return refuse("expected an operation on one of the track's columns");
    emit->op = (Op)op;
    emit->column = reads_column ? (uint32_t)column : 0;
    emit->scale = scale;
    emit->name = name;
    Py_INCREF(name);
    emit->empty = empty == Py_None ? NULL : empty;
    Py_XINCREF(emit->empty);
    return 0;
}

/* An operation reads columns of one kind: DISTINCT of a hash, for the others would be no memory. */
static int fits(const Emit *emit, const Shape *shape) {
    if (emit->op <= SINCE_LAST) return 1;
    Kind wanted = emit->op == DISTINCT                          ? HASH
                  : emit->op == LEAST || emit->op == GREATEST ? VALUE
                                                              : SUM;
    return shape->kinds[emit->column] == wanted;
}

static int read_span(Span *span, PyObject *said, const Shape *shape) {
    PyObject *emits;
    long long window, lag;
    if (!PyTuple_Check(said) ||
        !PyArg_ParseTuple(said, "LLpO!", &window, &lag, &span->itself, &PyTuple_Type, &emits))
        return refuse("expected (window, lag, itself, emits)");
    span->window = window, span->lag = lag;
    Py_ssize_t n = PyTuple_Size(emits);
    if (!(span->emits = calloc((size_t)n + 1, sizeof(Emit)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t e = 0; e < n; e++) {
        if (read_emit(span->emits + e, PyTuple_GetItem(emits, e), shape->n_columns)) return -1;
        span->n_emits++;
        if (!fits(span->emits + e, shape)) return refuse("expected a column of another kind");
    }
    return 0;
}

static int read_track(Reads *track, PyObject *said) {
    PyObject *spans, *sources, *where;
    const char *kinds;
    if (!PyTuple_Check(said) ||
        !PyArg_ParseTuple(said, "spOO!O!", &kinds, &track->labelled, &where, &PyTuple_Type, &sources,
                          &PyTuple_Type, &spans))
        return refuse("expected (kinds, labelled, where, sources, spans)");
    if (strlen(kinds) > MAX_COLUMNS) return refuse("expected at most 64 columns");
    for (; *kinds; kinds++) {
        if (!strchr("svh", *kinds)) return refuse("expected kinds of s, v and h");
        track->shape.kinds[track->shape.n_columns++] = *kinds == 's' ? SUM : *kinds == 'v' ? VALUE : HASH;
    }
    if (where != Py_None && !(track->where = window_node(where))) return -1;
    if (!(track->sources = window_sources(sources, &track->shape))) return -1;
    Py_ssize_t n = PyTuple_Size(spans);
    if (!(track->spans = calloc((size_t)n + 1, sizeof(Span)))) return PyErr_NoMemory(), -1;
    for (Py_ssize_t s = 0; s < n; s++) {
        track->n_spans++; /* whatever was read of it is given back with the others */
        if (read_span(track->spans + s, PyTuple_GetItem(spans, s), &track->shape)) return -1;
    }
    return 0;
}

static PyObject *spec_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)named;
    PyObject *tracks, *estimate;
    long long late, keep, max_events;
    if (!PyArg_ParseTuple(args, "LLLOO!", &late, &keep, &max_events, &estimate, &PyTuple_Type, &tracks))
        return NULL;
    if (max_events < 2 || max_events > UINT32_MAX / 2) {
        refuse("expected at least two events");
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Spec *spec = (Spec *)alloc(type, 0);
    if (!spec) return NULL;
    Py_INCREF(estimate);
    spec->estimate = estimate;
    spec->late = late, spec->keep = keep, spec->max_events = (uint32_t)max_events;
    Py_ssize_t n = PyTuple_Size(tracks);
    if (!(spec->tracks = calloc((size_t)n + 1, sizeof(Reads)))) {
        Py_DECREF(spec);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t t = 0; t < n; t++) {
        spec->n_tracks++;
        if (read_track(spec->tracks + t, PyTuple_GetItem(tracks, t))) {
            Py_DECREF(spec);
            return NULL;
        }
    }
    return (PyObject *)spec;
}

static void spec_free(PyObject *self) {
    Spec *spec = (Spec *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (uint32_t t = 0; t < spec->n_tracks; t++) {
        Reads *track = spec->tracks + t;
        for (uint32_t s = 0; s < track->n_spans; s++) {
            for (uint32_t e = 0; e < track->spans[s].n_emits; e++) {
                Py_XDECREF(track->spans[s].emits[e].name);
                Py_XDECREF(track->spans[s].emits[e].empty);
            }
            free(track->spans[s].emits);
        }
        free(track->spans);
        window_sources_free(track->sources, track->shape.n_columns);
        window_node_free(track->where);
    }
    free(spec->tracks);
    Py_XDECREF(spec->estimate);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* --- Cell ------------------------------------------------------------------------------------- */

static PyObject *cell_of(PyTypeObject *type, PyObject *spec) {
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Cell *cell = (Cell *)alloc(type, (Py_ssize_t)((Spec *)spec)->n_tracks);
    if (!cell) return NULL;
    Py_INCREF(spec);
    cell->spec = (Spec *)spec;
    cell->newest = -((int64_t)1 << 62);
    return (PyObject *)cell;
}

static PyObject *cell_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)named;
    PyObject *spec;
    return PyArg_ParseTuple(args, "O!", spec_type, &spec) ? cell_of(type, spec) : NULL;
}

static void cell_free(PyObject *self) {
    Cell *cell = (Cell *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (cell->spec)
        for (uint32_t t = 0; t < cell->spec->n_tracks; t++)
            track_clear(cell->tracks + t, &cell->spec->tracks[t].shape);
    Py_XDECREF((PyObject *)cell->spec);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *cell_newest(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLongLong(((Cell *)self)->newest);
}

PyDoc_STRVAR(forget_doc,
             "forget(track, column, hashes) -> int\n\n"
             "Forget the events that have one of these hashes in a column; how many.");

static PyObject *cell_forget(PyObject *self, PyObject *args) {
    const Cell *cell = (Cell *)self;
    unsigned int t, j;
    PyObject *hashes;
    if (!PyArg_ParseTuple(args, "IIO!", &t, &j, &PyFrozenSet_Type, &hashes)) return NULL;
    const Shape *shape = t < cell->spec->n_tracks ? &cell->spec->tracks[t].shape : NULL;
    if (!shape || j >= shape->n_columns || shape->kinds[j] != HASH) {
        refuse("expected a column of hashes");
        return NULL;
    }
    Track *track = (Track *)cell->tracks + t;
    long n = 0;
    for (uint32_t i = track->n; i-- > 0;) {
        PyObject *hash = PyLong_FromUnsignedLongLong(track_column(track, j)[i].hash);
        int found = hash ? PySet_Contains(hashes, hash) : -1;
        Py_XDECREF(hash);
        if (found < 0) return NULL;
        if (found) track_delete(track, shape, i);
        n += found;
    }
    return PyLong_FromLong(n);
}

static PyObject *cell_sizeof(PyObject *self, PyObject *unused) {
    (void)unused;
    const Cell *cell = (Cell *)self;
    size_t bytes = sizeof(Cell) + cell->spec->n_tracks * sizeof(Track);
    for (uint32_t t = 0; t < cell->spec->n_tracks; t++) {
        const Track *track = cell->tracks + t;
        const Shape *shape = &cell->spec->tracks[t].shape;
        if (track->block) bytes += (1 + shape->n_columns) * (size_t)(track->room + 1) * sizeof(Item);
        size_t sketches = 0;
        for (uint32_t j = 0; j < shape->n_columns; j++) sketches += shape->kinds[j] == HASH;
        bytes += track->n_buckets * (sizeof(Bucket *) + sizeof(Bucket) +
                                     shape->n_columns * sizeof(Old) + sketches * REGISTERS);
    }
    return PyLong_FromSize_t(bytes);
}

/* --- to plain values and back ----------------------------------------------------------------- */

static PyObject *dump_bucket(const Bucket *bucket, const Shape *shape) {
    PyObject *columns = PyList_New((Py_ssize_t)shape->n_columns);
    for (uint32_t j = 0; columns && j < shape->n_columns; j++) {
        const Old *old = bucket->columns + j;
        PyObject *value;
        if (shape->kinds[j] == SUM) {
            value = big_to_long(old->units);
            if (value && (old->units > INT64_MAX || old->units < INT64_MIN)) {
                PyObject *digits = PyObject_Str(value); /* MessagePack ends at 64 bits */
                Py_DECREF(value);
                value = digits;
            }
        } else if (shape->kinds[j] == VALUE) value = Py_BuildValue("[dd]", old->low, old->high);
        else value = PyBytes_FromStringAndSize((char *)old->registers, REGISTERS);
        if (!value || PyList_SetItem(columns, (Py_ssize_t)j, value)) Py_CLEAR(columns);
    }
    if (!columns) return NULL;
    return Py_BuildValue("[LLN]", (long long)bucket->at, (long long)bucket->n, columns);
}

static PyObject *dump_track(const Track *track, const Shape *shape) {
    Py_ssize_t size = (Py_ssize_t)(track->n * sizeof(Item));
    PyObject *columns = PyList_New((Py_ssize_t)shape->n_columns);
    static const Item none;
    for (uint32_t j = 0; columns && j < shape->n_columns; j++) {
        const Item *items = track->block ? track_column(track, j) : &none;
        Py_ssize_t more = shape->kinds[j] == SUM ? (Py_ssize_t)sizeof(Item) : 0;
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)items, size + more);
        if (!bytes || PyList_SetItem(columns, (Py_ssize_t)j, bytes)) Py_CLEAR(columns);
    }
    PyObject *buckets = columns ? PyList_New((Py_ssize_t)track->n_buckets) : NULL;
    for (uint32_t b = 0; buckets && b < track->n_buckets; b++) {
        PyObject *bucket = dump_bucket(track->buckets[b], shape);
        if (!bucket || PyList_SetItem(buckets, (Py_ssize_t)b, bucket)) Py_CLEAR(buckets);
    }
    if (!buckets) {
        Py_XDECREF(columns);
        return NULL;
    }
    const char *times = track->n ? (const char *)track_times(track) : "";
    return Py_BuildValue("[y#NN]", times, size, columns, buckets);
}

static PyObject *cell_dump(PyObject *self, PyObject *unused) {
    (void)unused;
    const Cell *cell = (Cell *)self;
    PyObject *tracks = PyList_New((Py_ssize_t)cell->spec->n_tracks);
    for (uint32_t t = 0; tracks && t < cell->spec->n_tracks; t++) {
        PyObject *track = dump_track(cell->tracks + t, &cell->spec->tracks[t].shape);
        if (!track || PyList_SetItem(tracks, (Py_ssize_t)t, track)) Py_CLEAR(tracks);
    }
    return tracks ? Py_BuildValue("[LN]", (long long)cell->newest, tracks) : NULL;
}

static int load_number(PyObject *said, double *number) {
    *number = said ? PyFloat_AsDouble(said) : 0;
    return PyErr_Occurred() ? -1 : 0;
}

static int load_old(Old *old, Kind kind, PyObject *said) {
    if (!said) return -1;
    if (kind == SUM) {
        PyObject *whole = PyNumber_Long(said); /* digits, where it is long */
        int failed = !whole || long_to_big(whole, &old->units);
        Py_XDECREF(whole);
        return failed ? -1 : 0;
    }
    if (kind == VALUE) {
        if (!PyList_Check(said) || PyList_Size(said) != 2) return refuse("expected two numbers");
        return load_number(PyList_GetItem(said, 0), &old->low) ||
                       load_number(PyList_GetItem(said, 1), &old->high)
                   ? -1
                   : 0;
    }
    if (!PyBytes_Check(said) || PyBytes_Size(said) != REGISTERS) return refuse("expected a sketch");
    memcpy(old->registers, PyBytes_AsString(said), REGISTERS);
    return 0;
}

static int load_bucket(Track *track, const Shape *shape, PyObject *said) {
    if (!said || !PyList_Check(said) || PyList_Size(said) != 3) return refuse("expected a bucket");
    PyObject *columns = PyList_GetItem(said, 2);
    if (!PyList_Check(columns) || PyList_Size(columns) != (Py_ssize_t)shape->n_columns)
        return refuse("expected a value a column");
    Bucket *bucket = bucket_new(shape);
    if (!bucket || track_take(track, bucket)) {
        bucket_free(bucket, shape);
        return PyErr_NoMemory(), -1;
    }
    bucket->at = PyLong_AsLongLong(PyList_GetItem(said, 0));
    bucket->n = PyLong_AsLongLong(PyList_GetItem(said, 1));
    if (PyErr_Occurred()) return -1;
    for (uint32_t j = 0; j < shape->n_columns; j++)
        if (load_old(bucket->columns + j, shape->kinds[j], PyList_GetItem(columns, (Py_ssize_t)j)))
            return -1;
    return 0;
}

static int load_items(Item *items, PyObject *said, size_t n) {
    if (!said || !PyBytes_Check(said) || (size_t)PyBytes_Size(said) != n * sizeof(Item))
        return refuse("expected columns of the length of the times");
    memcpy(items, PyBytes_AsString(said), n * sizeof(Item));
    return 0;
}

static int load_track(Track *track, const Shape *shape, PyObject *said) {
    if (!said || !PyList_Check(said) || PyList_Size(said) != 3) return refuse("expected a track");
    PyObject *times = PyList_GetItem(said, 0), *columns = PyList_GetItem(said, 1);
    PyObject *buckets = PyList_GetItem(said, 2);
    if (!PyBytes_Check(times) || !PyList_Check(columns) || !PyList_Check(buckets) ||
        PyList_Size(columns) != (Py_ssize_t)shape->n_columns || PyList_Size(buckets) > MAX_BUCKETS)
        return refuse("expected times, columns and buckets");
    size_t n = (size_t)PyBytes_Size(times) / sizeof(Item);
    if (n >= UINT32_MAX) return refuse("expected fewer events");
    if (track_make_room(track, shape, (uint32_t)n)) return PyErr_NoMemory(), -1;
    if (load_items(track->block, times, n)) return -1;
    for (uint32_t j = 0; j < shape->n_columns; j++)
        if (load_items(track_column(track, j), PyList_GetItem(columns, (Py_ssize_t)j),
                       n + (shape->kinds[j] == SUM)))
            return -1;
    track->n = (uint32_t)n;
    for (Py_ssize_t b = 0; b < PyList_Size(buckets); b++)
        if (load_bucket(track, shape, PyList_GetItem(buckets, b))) return -1;
    return 0;
}

PyDoc_STRVAR(load_doc, "load(spec, data) -> Cell\n\nWhat dump gave; ValueError where it is none.");

static PyObject *load(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *spec, *data;
    if (!PyArg_ParseTuple(args, "O!O!", spec_type, &spec, &PyList_Type, &data)) return NULL;
    PyObject *tracks = PyList_Size(data) == 2 ? PyList_GetItem(data, 1) : NULL;
    uint32_t n = ((Spec *)spec)->n_tracks;
    if (!tracks || !PyList_Check(tracks) || PyList_Size(tracks) != (Py_ssize_t)n) {
        refuse("expected the newest time and the tracks");
        return NULL;
    }
    PyObject *self = cell_of(cell_type, spec);
    if (!self) return NULL;
    Cell *cell = (Cell *)self;
    cell->newest = PyLong_AsLongLong(PyList_GetItem(data, 0));
    int failed = PyErr_Occurred() != NULL;
    for (uint32_t t = 0; !failed && t < n; t++)
        failed = load_track(cell->tracks + t, &cell->spec->tracks[t].shape,
                            PyList_GetItem(tracks, (Py_ssize_t)t));
    if (!failed) return self;
    Py_DECREF(self);
    return NULL;
}

/* --- module ----------------------------------------------------------------------------------- */

static PyMethodDef cell_methods[] = {
    {"step", cell_step, METH_VARARGS, cell_step_doc},
    {"learn", cell_learn, METH_VARARGS, cell_learn_doc},
    {"forget", cell_forget, METH_VARARGS, forget_doc},
    {"dump", cell_dump, METH_NOARGS, "dump() -> list\n\nAs plain values that MessagePack holds."},
    {"__sizeof__", cell_sizeof, METH_NOARGS, "Bytes of memory."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cell_properties[] = {
    {"newest", cell_newest, NULL, "time of the entity's newest event", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot spec_slots[] = {
    {Py_tp_new, (void *)spec_new},
    {Py_tp_dealloc, (void *)spec_free},
    {Py_tp_doc, "Spec(late, keep, max_events, estimate, tracks): what is kept and how it is read."},
    {0, NULL},
};

static PyType_Slot cell_slots[] = {
    {Py_tp_new, (void *)cell_new},
    {Py_tp_dealloc, (void *)cell_free},
    {Py_tp_methods, cell_methods},
    {Py_tp_getset, cell_properties},
    {Py_tp_doc, "Cell(spec): what is remembered of one entity."},
    {0, NULL},
};

static PyType_Spec spec_of_spec = {
    "baluarte.core._windows.Spec", sizeof(Spec), 0, Py_TPFLAGS_DEFAULT, spec_slots,
};
static PyType_Spec spec_of_cell = {
    "baluarte.core._windows.Cell", sizeof(Cell), sizeof(Track), Py_TPFLAGS_DEFAULT, cell_slots,
};

static PyMethodDef functions[] = {
    {"load", load, METH_VARARGS, load_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_windows", "Window features of one entity.", -1, functions,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__windows(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    spec_type = (PyTypeObject *)PyType_FromSpec(&spec_of_spec);
    cell_type = (PyTypeObject *)PyType_FromSpec(&spec_of_cell);
    PyTypeObject *intake = spec_type && cell_type ? window_intake(spec_type, cell_type) : NULL;
    if (!intake || PyModule_AddType(module, spec_type) || PyModule_AddType(module, cell_type) ||
        PyModule_AddType(module, intake)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
