/* Records of decisions and answers without reasons, put together of parts that are encoded already, and
 * the last letters of their ids. core/decision_bytes.py, apps/scoring/answer.py and core/ids.py have the
 * same in Python, which is the rule. What is personal is sealed on the way, without the interpreter's
 * lock (_sealing.c).
 *
 * Source: RFC 8259 section 7 (what a text escapes); RFC 4648 section 4 (base64); Crockford, Base 32.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_record_text.h"
#include "_sealing.h"

/* --- a batch ---------------------------------------------------------------------------------------- */

static PyObject *name_id, *name_event_id, *name_event_at, *name_digest, *name_event, *name_key,
    *name_personal, *name_compiled;

/* What was decided, in columns; an item of each list and column a record. */
typedef struct {
    PyObject *head, *bands; /* from when it was decided up to the event's digest; a part a band */
    PyObject *ids, *identities, *reasons, *deferred, *base;
    Py_buffer views[3]; /* of the columns */
    const int64_t *score, *points, *band;
    Cells features;
    Py_ssize_t n;
} Batch;

/* A column of n int64; NULL with an error where it is none. */
static const int64_t *int64s(Py_buffer *view, PyObject *column, Py_ssize_t n) {
    if (PyObject_GetBuffer(column, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) return NULL;
    if (view->ndim == 1 && view->shape[0] == n && view->itemsize == (Py_ssize_t)sizeof(int64_t) &&
        view->format != NULL && strspn(view->format, "lq") == 1 && view->format[1] == 0)
        return view->buf;
    PyErr_SetString(PyExc_ValueError, "expected an int64 for each record");
    return NULL;
}

static void close_batch(Batch *batch) {
    for (int k = 0; k < 3; k++) PyBuffer_Release(&batch->views[k]);
}

static int read_batch(Batch *batch, PyObject *parts) {
    PyObject *scores, *points, *bands, *features;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(parts, "SO!O!O!OOOO!SnO!O!;the parts of a batch", &batch->head,
                          &PyTuple_Type, &batch->bands, &PyList_Type, &batch->ids, &PyList_Type,
                          &batch->identities, &scores, &points, &bands, &PyLong_Type, &batch->base,
                          &features, &width, &PyList_Type, &batch->reasons, &PyList_Type,
                          &batch->deferred))
        return -1;
    Py_ssize_t n = batch->n = PyList_Size(batch->ids);
    if (PyList_Size(batch->identities) != n || PyList_Size(batch->reasons) != n ||
        PyList_Size(batch->deferred) != n) {
        PyErr_SetString(PyExc_ValueError, "expected lists of one length");
        return -1;
    }
    batch->score = int64s(&batch->views[0], scores, n);
    batch->points = batch->score == NULL ? NULL : int64s(&batch->views[1], points, n);
    batch->band = batch->points == NULL ? NULL : int64s(&batch->views[2], bands, n);
    return batch->band == NULL ? -1 : open_cells(&batch->features, features, width);
}

/* -1 with an error, and nothing to close. */
static int open_batch(Batch *batch, PyObject *parts) {
    memset(batch, 0, sizeof *batch);
    if (read_batch(batch, parts) == 0) return 0;
    close_batch(batch);
    return -1;
}

/* What a record is made of beside its columns. All of its own: an attribute's Python might change a
 * list. */
typedef struct {
    PyObject *id, *identity, *reasons;
    int late;
} Row;

static PyObject *item(PyObject *list, Py_ssize_t i) {
    PyObject *of = PyList_GetItem(list, i);
    Py_XINCREF(of);
    return of;
}

static void close_row(Row *row) {
    Py_XDECREF(row->id);
    Py_XDECREF(row->identity);
    Py_XDECREF(row->reasons);
}

static int open_row(Row *row, const Batch *batch, Py_ssize_t i) {
    PyObject *late = item(batch->deferred, i);
    row->id = late == NULL ? NULL : item(batch->ids, i);
    row->identity = row->id == NULL ? NULL : item(batch->identities, i);
    row->reasons = row->identity == NULL ? NULL : item(batch->reasons, i);
    row->late = row->reasons == NULL ? -1 : PyObject_IsTrue(late);
    Py_XDECREF(late);
    if (row->late >= 0) return 0;
    close_row(row);
    return -1;
}

/* --- a record --------------------------------------------------------------------------------------- */

typedef int (*Add)(Text *, PyObject *);

/* Add an attribute of an object. */
static int add_of(Text *text, PyObject *object, PyObject *name, Add add_it) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) return -1;
    int failed = add_it(text, value);
    Py_DECREF(value);
    return failed;
}

static int add_band(Text *text, PyObject *bands, int64_t band) {
    return add_bytes(text, PyTuple_GetItem(bands, (Py_ssize_t)band)); /* checks where they end */
}

/* All up to the envelope. */
static int add_decision(Text *text, Batch *batch, Py_ssize_t i, const Row *row, int v, int tells) {
    int told = row->reasons != Py_None;
    if ((v == 1 ? ADD(text, "{\"kind\":\"decision\",\"v\":1,\"id\":\"")
                : ADD(text, "{\"kind\":\"decision\",\"v\":2,\"id\":\"")) ||
        add_plain(text, row->id) || ADD(text, "\",\"event_id\":") ||
        add_of(text, row->identity, name_event_id, add_quoted) || ADD(text, ",\"event_at\":") ||
        add_of(text, row->identity, name_event_at, add_integer) || add_bytes(text, batch->head) ||
        add_of(text, row->identity, name_digest, add_plain) || ADD(text, "\",\"event\":") ||
        add_of(text, row->identity, name_event, add_bytes) || ADD(text, ",\"features\":") ||
        add_row(text, &batch->features) || ADD(text, ",\"score\":") ||
        add_int64(text, batch->score[i]) || ADD(text, ",\"points\":") ||
        add_int64(text, batch->points[i]) || add_band(text, batch->bands, batch->band[i]) ||
        ADD(text, ",\"base\":") ||
        (told ? add_integer(text, batch->base) : ADD(text, "null")) || ADD(text, ",\"reasons\":") ||
        (told && tells ? add_integers(text, row->reasons) : ADD(text, "null")))
        return -1;
    return row->late ? ADD(text, ",\"reasons_deferred\":true") : 0;
}

/* (key, sealed bytes) as an envelope. */
static int add_envelope(Text *text, PyObject *envelope) {
    if (!PyTuple_Check(envelope) || PyTuple_Size(envelope) != 2) {
        PyErr_SetString(PyExc_TypeError, "expected a key's id and sealed bytes");
        return -1;
    }
    if (ADD(text, ",\"personal\":{\"key\":") ||
        add_quoted(text, PyTuple_GetItem(envelope, 0)) || ADD(text, ",\"sealed\":\"") ||
        add_base64(text, PyTuple_GetItem(envelope, 1)))
        return -1;
    return ADD(text, "\"}");
}

static int add_record(Text *text, Batch *batch, Py_ssize_t i, PyObject *envelope, int tells) {
    Row row;
    if (envelope == NULL || open_row(&row, batch, i)) return -1;
    int is_sealed = envelope != Py_None;
    int failed = add_decision(text, batch, i, &row, is_sealed ? 2 : 1, tells) ||
                 (is_sealed && add_envelope(text, envelope)) || ADD(text, "}");
    close_row(&row);
    return failed ? -1 : 0;
}

/* Where records end, as their lengths. */
static int put_length(uint32_t *lengths, Py_ssize_t i, size_t length) {
    lengths[i] = (uint32_t)length;
    if (length <= UINT32_MAX) return 0;
    PyErr_SetString(PyExc_ValueError, "a record is too large");
    return -1;
}

static PyObject *new_bytes(size_t n) { return PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n); }

/* (data, lengths), which are then the pair's. */
static PyObject *pair_of(PyObject *data, PyObject *lengths) {
    PyObject *pair = data == NULL || lengths == NULL ? NULL : PyTuple_Pack(2, data, lengths);
    Py_XDECREF(data);
    Py_XDECREF(lengths);
    return pair;
}

/* compose(parts, envelopes, tells_reasons) -> (data, lengths) of the records */
static PyObject *compose(PyObject *module, PyObject *args) {
    Batch batch;
    PyObject *parts, *envelopes;
    int tells;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!p:compose", &PyTuple_Type, &parts, &PyList_Type, &envelopes,
                          &tells) ||
        open_batch(&batch, parts))
        return NULL;
    Text text = {NULL, 0, 0};
    PyObject *lengths = new_bytes((size_t)batch.n * sizeof(uint32_t)), *data = NULL;
    int failed = lengths == NULL;
    for (Py_ssize_t i = 0; !failed && i < batch.n; i++) {
        size_t before = text.length;
        PyObject *envelope = item(envelopes, i);
        failed = add_record(&text, &batch, i, envelope, tells) ||
                 put_length((uint32_t *)(void *)PyBytes_AsString(lengths), i, text.length - before);
        Py_XDECREF(envelope);
    }
    if (!failed && !close_cells(&batch.features))
        data = PyBytes_FromStringAndSize(text.bytes, (Py_ssize_t)text.length);
    PyMem_Free(text.bytes);
    close_batch(&batch);
    return pair_of(data, lengths);
}

/* --- records with what is sealed -------------------------------------------------------------------- */

/* What is personal in a batch. */
typedef struct {
    PyObject *before, *bound_head, *bound_tail; /* before the columns; around the id it is bound to */
    Cells columns;
    int has_columns, hides_reasons;
    const uint8_t *nonces;
} Personal;

/* Where a record's parts are in the text, and its key. */
typedef struct {
    size_t clear, plain, bound, end;
    PyObject *compiled;
    const uint8_t *key;
} Part;

enum { FEW = 8 }; /* records that are sealed before another thread would have got the lock */
static const char AFTER[] = "\"}}";

static size_t record_length(const Part *part) {
    return part->plain - part->clear + base64_length(part->bound - part->plain + SEALED_MORE) +
           sizeof AFTER - 1;
}

/* What is to be sealed, as the JSON of core/envelope.py's PersonalValues. */
static int add_personal(Text *text, Personal *personal, const Row *row) {
    if (ADD(text, "{\"event\":") || add_of(text, row->identity, name_personal, add_bytes) ||
        add_bytes(text, personal->before) ||
        (personal->has_columns && add_row(text, &personal->columns)))
        return -1;
    if (personal->hides_reasons && row->reasons != Py_None &&
        (ADD(text, ",\"reasons\":") || add_integers(text, row->reasons)))
        return -1;
    return ADD(text, "}");
}

/* Take hold of a key; 1 where it can't be used here, -1 with an error. */
static int open_key(Part *part, PyObject *key) {
    if (key == Py_None) {
        PyErr_SetString(PyExc_ValueError, "a record with personal values needs its subject's key");
        return -1;
    }
    part->compiled = PyObject_GetAttr(key, name_compiled);
    if (part->compiled == NULL) return -1;
    if (part->compiled == Py_None) return 1;
    part->key = key_within(part->compiled);
    return part->key == NULL ? -1 : 0;
}

static int add_part(Text *text, Batch *batch, Personal *personal, Part *part, Py_ssize_t i,
                    const Row *row) {
    PyObject *key = PyObject_GetAttr(row->identity, name_key);
    int failed = key == NULL ? -1 : open_key(part, key);
    part->clear = text->length;
    if (!failed && (add_decision(text, batch, i, row, 2, !personal->hides_reasons) ||
                    ADD(text, ",\"personal\":{\"key\":") || add_of(text, key, name_id, add_quoted) ||
                    ADD(text, ",\"sealed\":\"")))
        failed = -1;
    Py_XDECREF(key);
    part->plain = text->length;
    if (failed || add_personal(text, personal, row)) return failed ? failed : -1;
    part->bound = text->length;
    if (add_bytes(text, personal->bound_head) || add_plain(text, row->id) ||
        add_bytes(text, personal->bound_tail))
        return -1;
    part->end = text->length;
    return 0;
}

/* All texts of a batch one after the other, and the records' lengths; as add_part. */
static int gather(Text *text, Batch *batch, Personal *personal, Part *parts, uint32_t *lengths) {
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < batch->n; i++) {
        Row row;
        if (open_row(&row, batch, i)) return -1;
        failed = add_part(text, batch, personal, &parts[i], i, &row);
        close_row(&row);
        if (!failed) failed = put_length(lengths, i, record_length(&parts[i]));
    }
    if (!failed && (close_cells(&batch->features) ||
                    (personal->has_columns && close_cells(&personal->columns))))
        failed = -1;
    return failed;
}

/* Write the records, sealing each one's values under its key; scratch is as long as the longest is
 * sealed. Needs no lock: the records are nobody else's yet, and keys and text are held. */
static int seal_parts(const Text *text, const Part *parts, Py_ssize_t n, const uint8_t *nonces,
                      char *at, uint8_t *scratch) {
    const uint8_t *from = (const uint8_t *)text->bytes;
    void *by = sealer();
    int failed = by == NULL;
    for (const Part *part = parts; !failed && part < parts + n; part++, nonces += NONCE) {
        size_t n_clear = part->plain - part->clear, n_plain = part->bound - part->plain;
        failed = seal_text(by, part->key, nonces, from + part->bound, part->end - part->bound,
                           from + part->plain, n_plain, scratch);
        if (failed) break;
        memcpy(at, from + part->clear, n_clear);
        at = put_base64(at + n_clear, scratch, n_plain + SEALED_MORE);
        memcpy(at, AFTER, sizeof AFTER - 1);
        at += sizeof AFTER - 1;
    }
    sealer_done(by);
    return failed ? -1 : 0;
}

static PyObject *sealed(const Text *text, const Part *parts, Py_ssize_t n, const uint8_t *nonces) {
    size_t total = 0, most = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        size_t n_plain = parts[i].bound - parts[i].plain;
        total += record_length(&parts[i]);
        if (n_plain > most) most = n_plain;
    }
    uint8_t *scratch = PyMem_Malloc(most + SEALED_MORE);
    if (scratch == NULL) return PyErr_NoMemory();
    PyObject *data = new_bytes(total);
    char *at = data == NULL ? NULL : PyBytes_AsString(data);
    if (at != NULL) {
        PyThreadState *state = n > FEW ? PyEval_SaveThread() : NULL;
        int failed = seal_parts(text, parts, n, nonces, at, scratch);
        if (state != NULL) PyEval_RestoreThread(state);
        if (failed) {
            PyErr_SetString(PyExc_RuntimeError, "libcrypto did not seal the values");
            Py_CLEAR(data);
        }
    }
    PyMem_Free(scratch);
    return data;
}

static int open_personal(Personal *personal, PyObject *parts, Py_ssize_t n) {
    PyObject *columns;
    Py_ssize_t width, n_nonces;
    const char *nonces;
    if (!PyArg_ParseTuple(parts, "SSnpSSy#;what is personal", &personal->before, &columns, &width,
                          &personal->hides_reasons, &personal->bound_head, &personal->bound_tail,
                          &nonces, &n_nonces))
        return -1;
    personal->nonces = (const uint8_t *)nonces;
    personal->has_columns = width != 0;
    if (n_nonces % NONCE == 0 && n_nonces / NONCE == n)
        return open_cells(&personal->columns, columns, width);
    PyErr_SetString(PyExc_ValueError, "expected a nonce for each record");
    return -1;
}

/* compose_sealed(parts, personal) -> (data, lengths); None where a key can't be used here */
static PyObject *compose_sealed(PyObject *module, PyObject *args) {
    Batch batch;
    Personal personal;
    PyObject *batch_parts, *personal_parts, *data = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!:compose_sealed", &PyTuple_Type, &batch_parts, &PyTuple_Type,
                          &personal_parts) ||
        open_batch(&batch, batch_parts))
        return NULL;
    Text text = {NULL, 0, 0};
    PyObject *lengths = NULL;
    int failed = open_personal(&personal, personal_parts, batch.n);
    Part *parts = failed ? NULL : PyMem_Calloc((size_t)batch.n + 1, sizeof *parts);
    if (parts != NULL)
        lengths = new_bytes((size_t)batch.n * sizeof(uint32_t));
    else if (!failed)
        PyErr_NoMemory();
    if (lengths != NULL) {
        uint32_t *each = (uint32_t *)(void *)PyBytes_AsString(lengths);
        failed = gather(&text, &batch, &personal, parts, each);
        if (!failed) data = sealed(&text, parts, batch.n, personal.nonces);
    }
    for (Py_ssize_t i = 0; parts != NULL && i < batch.n; i++) Py_XDECREF(parts[i].compiled);
    PyMem_Free(parts);
    PyMem_Free(text.bytes);
    close_batch(&batch);
    PyObject *pair = pair_of(data, lengths);
    return failed > 0 ? Py_NewRef(Py_None) : pair;
}

/* --- ids -------------------------------------------------------------------------------------------- */

enum { LETTERS = 12 }; /* 60 bits: four of the shard's tag, 56 of the index */

static PyObject *ids(PyObject *module, PyObject *args) {
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const char *head;
    Py_ssize_t n_head, n;
    unsigned long long first;
    char id[64];
    (void)module;
    if (!PyArg_ParseTuple(args, "s#Kn:ids", &head, &n_head, &first, &n)) return NULL;
    if (n_head > (Py_ssize_t)sizeof id - LETTERS || n < 0) {
        PyErr_SetString(PyExc_ValueError, "expected the head of an id and a count");
        return NULL;
    }
    memcpy(id, head, (size_t)n_head);
    PyObject *out = PyList_New(n);
    for (Py_ssize_t i = 0; out != NULL && i < n; i++) {
        unsigned long long rest = first + (unsigned long long)i;
        for (int k = LETTERS - 1; k >= 0; k--, rest >>= 5) id[n_head + k] = letters[rest & 31];
        PyObject *text = PyUnicode_FromStringAndSize(id, n_head + LETTERS);
        if (text == NULL || PyList_SetItem(out, i, text) < 0) Py_CLEAR(out);
    }
    return out;
}

/* --- answers ---------------------------------------------------------------------------------------- */

static int add_answer(Text *text, PyObject *id, PyObject *identity, PyObject *between,
                      const int64_t *const *columns, Py_ssize_t i, Cells *probability) {
    return ADD(text, "{\"id\":\"") || add_plain(text, id) || ADD(text, "\",\"event_id\":") ||
                   add_of(text, identity, name_event_id, add_quoted) ||
                   add_band(text, between, columns[0][i]) || add_int64(text, columns[1][i]) ||
                   ADD(text, ",\"score\":") || add_int64(text, columns[2][i]) ||
                   ADD(text, ",\"probability\":") || add_cells(text, probability) || ADD(text, "}")
               ? -1
               : 0;
}

/* answers(ids, identities, between, bands, points, scores, probabilities) -> the JSON of each: `between`
 * stands between an event's id and its points, by band; probabilities are one JSON array. */
static PyObject *answers(PyObject *module, PyObject *args) {
    PyObject *ids, *identities, *between, *given[3], *probabilities, *found = NULL;
    Py_buffer views[3] = {{0}, {0}, {0}};
    const int64_t *columns[3] = {NULL, NULL, NULL};
    Cells cells;
    Text text = {NULL, 0, 0};
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!O!OOOS:answers", &PyList_Type, &ids, &PyList_Type, &identities,
                          &PyTuple_Type, &between, &given[0], &given[1], &given[2], &probabilities))
        return NULL;
    Py_ssize_t n = PyList_Size(ids);
    int failed = open_cells(&cells, probabilities, 1);
    for (int k = 0; k < 3 && !failed; k++)
        failed = (columns[k] = int64s(&views[k], given[k], n)) == NULL;
    if (!failed) found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < n; i++) {
        PyObject *id = item(ids, i), *identity = id == NULL ? NULL : item(identities, i);
        PyObject *answer = NULL;
        text.length = 0;
        if (identity != NULL && !add_answer(&text, id, identity, between, columns, i, &cells))
            answer = PyBytes_FromStringAndSize(text.bytes, (Py_ssize_t)text.length);
        if (answer == NULL || PyList_Append(found, answer) < 0) Py_CLEAR(found);
        Py_XDECREF(id);
        Py_XDECREF(identity);
        Py_XDECREF(answer);
    }
    if (found != NULL && close_cells(&cells)) Py_CLEAR(found);
    PyMem_Free(text.bytes);
    for (int k = 0; k < 3; k++) PyBuffer_Release(&views[k]);
    return found;
}

/* --- the module ------------------------------------------------------------------------------------- */

static int intern(PyObject **name, const char *text) {
    if (*name == NULL) *name = PyUnicode_InternFromString(text);
    return *name == NULL ? -1 : 0;
}

static int exec(PyObject *module) {
    (void)module;
    return intern(&name_id, "id") || intern(&name_event_id, "event_id") ||
                   intern(&name_event_at, "event_at") || intern(&name_digest, "digest") ||
                   intern(&name_event, "event") || intern(&name_key, "key") ||
                   intern(&name_personal, "personal") || intern(&name_compiled, "compiled")
               ? -1
               : 0;
}

static PyMethodDef methods[] = {
    {"compose", compose, METH_VARARGS, "Records of decisions, as JSON."},
    {"compose_sealed", compose_sealed, METH_VARARGS,
     "Records of decisions, as JSON; what is personal sealed under each one's key."},
    {"key", sealing_key, METH_O, "What compose_sealed seals with, of a key's bytes."},
    {"load", sealing_load, METH_O, "Seal by the libcrypto of a loaded module; whether it can."},
    {"answers", answers, METH_VARARGS, "Answers without reasons, as JSON."},
    {"ids", ids, METH_VARARGS, "Ids of records that follow one another."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "baluarte.core._records", NULL, 0, methods, slots, NULL, NULL, NULL,
};

__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__records(void) {
    return PyModuleDef_Init(&module);
}
