/* Records of decisions, put together of parts that are encoded already, and the last letters of their
 * ids. core/decision_bytes.py and core/ids.py have the same in Python, which is the rule.
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

/* --- bytes that grow -------------------------------------------------------------------------------- */

typedef struct {
    char *bytes;
    size_t length, room;
} Text;

/* Where n more bytes can be written; NULL with an error where there is no memory. */
static char *room_for(Text *text, size_t n) {
    if (text->room - text->length < n) {
        size_t room = 2 * text->room + n;
        char *bytes = PyMem_Realloc(text->bytes, room);
        if (bytes == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        text->bytes = bytes;
        text->room = room;
    }
    return text->bytes + text->length;
}

static int add(Text *text, const char *bytes, size_t n) {
    char *at = room_for(text, n);
    if (at == NULL) return -1;
    memcpy(at, bytes, n);
    text->length += n;
    return 0;
}

#define ADD(text, literal) add(text, literal, sizeof(literal) - 1)

static int add_bytes(Text *text, PyObject *bytes) {
    char *from;
    Py_ssize_t n;
    if (bytes == NULL || PyBytes_AsStringAndSize(bytes, &from, &n) < 0) return -1;
    return add(text, from, (size_t)n);
}

/* The text's own UTF-8, borrowed; NULL with an error where it has none. */
static const char *utf8(PyObject *value, Py_ssize_t *n) {
    if (value == NULL) return NULL;
    if (!PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "expected a text");
        return NULL;
    }
    return PyUnicode_AsUTF8AndSize(value, n);
}

/* A text whose letters need no escape: an id or a digest. */
static int add_plain(Text *text, PyObject *value) {
    Py_ssize_t n;
    const char *from = utf8(value, &n);
    return from == NULL ? -1 : add(text, from, (size_t)n);
}

/* A text between quotes; only what RFC 8259 has to have escaped is, as short as it can be. */
static int add_quoted(Text *text, PyObject *value) {
    static const char hex[] = "0123456789abcdef";
    Py_ssize_t n;
    const char *from = utf8(value, &n);
    char *at = from == NULL ? NULL : room_for(text, 6 * (size_t)n + 2);
    if (at == NULL) return -1;
    char *start = at;
    *at++ = '"';
    for (Py_ssize_t i = 0; i < n; i++) {
        unsigned char letter = (unsigned char)from[i];
        if (letter >= 0x20 && letter != '"' && letter != '\\') {
            *at++ = (char)letter;
            continue;
        }
        *at++ = '\\';
        switch (letter) {
        case '"': *at++ = '"'; break;
        case '\\': *at++ = '\\'; break;
        case '\b': *at++ = 'b'; break;
        case '\f': *at++ = 'f'; break;
        case '\n': *at++ = 'n'; break;
        case '\r': *at++ = 'r'; break;
        case '\t': *at++ = 't'; break;
        default:
            memcpy(at, "u00", 3);
            at[3] = hex[letter >> 4];
            at[4] = hex[letter & 15];
            at += 5;
        }
    }
    *at++ = '"';
    text->length += (size_t)(at - start);
    return 0;
}

static int add_integer(Text *text, PyObject *value) {
    char digits[20], *at = digits + sizeof digits;
    long long whole = value == NULL ? -1 : PyLong_AsLongLong(value);
    if (whole == -1 && PyErr_Occurred()) return -1;
    uint64_t rest = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
    do *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (whole < 0) *--at = '-';
    return add(text, at, (size_t)(digits + sizeof digits - at));
}

static int add_base64(Text *text, PyObject *bytes) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *from;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(bytes, &from, &n) < 0) return -1;
    char *at = room_for(text, ((size_t)n + 2) / 3 * 4);
    if (at == NULL) return -1;
    text->length += ((size_t)n + 2) / 3 * 4;
    const unsigned char *in = (const unsigned char *)from, *end = in + n;
    for (; end - in >= 3; in += 3, at += 4) {
        uint32_t three = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        at[0] = letters[three >> 18];
        at[1] = letters[three >> 12 & 63];
        at[2] = letters[three >> 6 & 63];
        at[3] = letters[three & 63];
    }
    if (in < end) {
        uint32_t three = (uint32_t)in[0] << 16 | (end - in > 1 ? (uint32_t)in[1] << 8 : 0);
        at[0] = letters[three >> 18];
        at[1] = letters[three >> 12 & 63];
        at[2] = end - in > 1 ? letters[three >> 6 & 63] : '=';
        at[3] = '=';
    }
    return 0;
}

/* --- a record --------------------------------------------------------------------------------------- */

static PyObject *name_id, *name_event_id, *name_score, *name_points, *name_band, *name_base,
    *name_event_at, *name_digest, *name_event;

typedef int (*Add)(Text *, PyObject *);

/* Add an attribute of an object. */
static int add_of(Text *text, PyObject *object, PyObject *name, Add add_it) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) return -1;
    int failed = add_it(text, value);
    Py_DECREF(value);
    return failed;
}

static int add_integer_or_null(Text *text, PyObject *value) {
    return value == Py_None ? ADD(text, "null") : add_integer(text, value);
}

/* The part of the decision's band. */
static int add_band(Text *text, PyObject *answer, PyObject *band_parts) {
    PyObject *value = PyObject_GetAttr(answer, name_band);
    Py_ssize_t band = value == NULL ? -1 : PyLong_AsSsize_t(value);
    Py_XDECREF(value);
    if (band == -1 && PyErr_Occurred()) return -1;
    return add_bytes(text, PyTuple_GetItem(band_parts, band)); /* checks where the band ends */
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

typedef struct {
    PyObject *version_part, *band_parts, *decided_at;
} Common;

static int add_record(Text *text, const Common *common, PyObject *answer, PyObject *identity,
                      PyObject *features, PyObject *reasons, int deferred, PyObject *envelope) {
    int failed = envelope == Py_None ? ADD(text, "{\"kind\":\"decision\",\"v\":1,\"id\":\"")
                                     : ADD(text, "{\"kind\":\"decision\",\"v\":2,\"id\":\"");
    if (failed || add_of(text, answer, name_id, add_plain) || ADD(text, "\",\"event_id\":") ||
        add_of(text, answer, name_event_id, add_quoted) || ADD(text, ",\"event_at\":") ||
        add_of(text, identity, name_event_at, add_integer) || ADD(text, ",\"decided_at\":") ||
        add_integer(text, common->decided_at) || add_bytes(text, common->version_part) ||
        add_of(text, identity, name_digest, add_plain) || ADD(text, "\",\"event\":") ||
        add_of(text, identity, name_event, add_bytes) || ADD(text, ",\"features\":") ||
        add_bytes(text, features) || ADD(text, ",\"score\":") ||
        add_of(text, answer, name_score, add_integer) || ADD(text, ",\"points\":") ||
        add_of(text, answer, name_points, add_integer) ||
        add_band(text, answer, common->band_parts) || ADD(text, ",\"base\":") ||
        add_of(text, answer, name_base, add_integer_or_null) || ADD(text, ",\"reasons\":") ||
        (reasons == Py_None ? ADD(text, "null") : add_bytes(text, reasons)) ||
        (deferred && ADD(text, ",\"reasons_deferred\":true")) ||
        (envelope != Py_None && add_envelope(text, envelope)))
        return -1;
    return ADD(text, "}");
}

static PyObject *compose(PyObject *module, PyObject *args) {
    Common common;
    PyObject *answers, *identities, *features, *reasons, *deferred, *envelopes;
    (void)module;
    if (!PyArg_ParseTuple(args, "SO!O!O!O!O!O!O!O!:compose", &common.version_part, &PyTuple_Type,
                          &common.band_parts, &PyLong_Type, &common.decided_at, &PyList_Type,
                          &answers, &PyList_Type, &identities, &PyList_Type, &features,
                          &PyList_Type, &reasons, &PyList_Type, &deferred, &PyList_Type,
                          &envelopes))
        return NULL;
    PyObject *lists[] = {answers, identities, features, reasons, deferred, envelopes};
    Py_ssize_t n = PyList_Size(answers);
    for (int k = 0; k < 6; k++)
        if (PyList_Size(lists[k]) != n) {
            PyErr_SetString(PyExc_ValueError, "expected lists of one length");
            return NULL;
        }
    PyObject *out = PyList_New(n);
    Text text = {NULL, 0, 0};
    for (Py_ssize_t i = 0; out != NULL && i < n; i++) {
        PyObject *of[6];
        text.length = 0;
        for (int k = 0; k < 6; k++) { /* of its own: an attribute's Python might change a list */
            of[k] = PyList_GetItem(lists[k], i);
            Py_XINCREF(of[k]);
        }
        int failed = of[0] == NULL || of[1] == NULL || of[2] == NULL || of[3] == NULL ||
                     of[4] == NULL || of[5] == NULL;
        int is_deferred = failed ? -1 : PyObject_IsTrue(of[4]);
        failed = is_deferred < 0 || add_record(&text, &common, of[0], of[1], of[2], of[3],
                                               is_deferred, of[5]);
        for (int k = 0; k < 6; k++) Py_XDECREF(of[k]);
        PyObject *record =
            failed ? NULL : PyBytes_FromStringAndSize(text.bytes, (Py_ssize_t)text.length);
        if (record == NULL || PyList_SetItem(out, i, record) < 0) Py_CLEAR(out);
    }
    PyMem_Free(text.bytes);
    return out;
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

/* --- the module ------------------------------------------------------------------------------------- */

static int intern(PyObject **name, const char *text) {
    if (*name == NULL) *name = PyUnicode_InternFromString(text);
    return *name == NULL ? -1 : 0;
}

static int exec(PyObject *module) {
    (void)module;
    return intern(&name_id, "id") || intern(&name_event_id, "event_id") ||
                   intern(&name_score, "score") || intern(&name_points, "points") ||
                   intern(&name_band, "band") || intern(&name_base, "base") ||
                   intern(&name_event_at, "event_at") || intern(&name_digest, "digest") ||
                   intern(&name_event, "event")
               ? -1
               : 0;
}

static PyMethodDef methods[] = {
    {"compose", compose, METH_VARARGS, "Records of decisions, as JSON."},
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
