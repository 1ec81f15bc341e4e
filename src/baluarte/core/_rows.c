/* Rows of requests, value by value: keys counted in a JSON text, decoded values to records, records to
 * columns. core/quick_rows.py and core/encode.py say what each is for; what is not plain here is left
 * to their Python, which is the rule.
 *
 * Source: RFC 8259 (where strings end).
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include "_rows.h"

/* --- keys and depth of a text that a JSON decoder accepted ---------------------------------------- */

static PyObject *scan(PyObject *module, PyObject *body) {
    char *bytes;
    Py_ssize_t length;
    (void)module;
    if (PyBytes_AsStringAndSize(body, &bytes, &length) < 0) return NULL;
    const char *at = bytes, *end = bytes + length;
    Py_ssize_t n_keys = 0, depth = 0, deepest = 0;
    for (; at < end; at++) {
        switch (*at) {
        case '"':
            for (at++; at < end && *at != '"'; at++)
                if (*at == '\\') at++;
            break;
        case ':':
            n_keys++;
            break;
        case '{':
        case '[':
            if (++depth > deepest) deepest = depth;
            break;
        case '}':
        case ']':
            depth--;
            break;
        default:
            break;
        }
    }
    return Py_BuildValue("nn", n_keys, deepest);
}

/* --- values to records ---------------------------------------------------------------------------- */

/* A number's record form, a new reference; NULL without an error where Python must look. */
static PyObject *number(PyObject *value, int whole) {
    if (PyFloat_CheckExact(value)) {
        double x = PyFloat_AsDouble(value);
        if (!(fabs(x) <= (double)MAX_EXACT)) return NULL;
        if (x == (double)(long long)x) return PyLong_FromLongLong((long long)x);
        if (whole) return NULL;
    } else if (PyLong_CheckExact(value)) {
        int overflow;
        long long x = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow || x > MAX_EXACT || x < -MAX_EXACT) return NULL;
    } else {
        return NULL;
    }
    Py_INCREF(value);
    return value;
}

/* Whether a text is kept as it is: short, without a NUL, and of characters that UTF-8 has. */
static int is_plain(PyObject *value, Py_ssize_t max_chars) {
    Py_ssize_t n_bytes;
    if (!PyUnicode_CheckExact(value) || PyUnicode_GetLength(value) > max_chars) return 0;
    const char *text = PyUnicode_AsUTF8AndSize(value, &n_bytes);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    return memchr(text, 0, (size_t)n_bytes) == NULL;
}

PyObject *rows_converted(int kind, PyObject *value, PyObject *convert) {
    PyObject *found = NULL;
    if (kind == NUMBER || kind == INTEGER) found = number(value, kind == INTEGER);
    if ((kind == CATEGORY && is_plain(value, MAX_CATEGORY)) ||
        (kind == TEXT && is_plain(value, MAX_TEXT))) {
        found = PyUnicode_GetLength(value) ? value : Py_None; /* empty text is missing */
        Py_INCREF(found);
    }
    if (found != NULL || PyErr_Occurred()) return found;
    return PyObject_CallFunctionObjArgs(convert, value, NULL);
}

/* One row's record; NULL without an error where a value that is required is missing. */
static PyObject *record(PyObject *names, const char *kinds, PyObject *converts, PyObject *row,
                        PyObject *unset, Py_ssize_t n, Py_ssize_t *n_given) {
    PyObject *out = PyDict_New();
    if (out == NULL) return NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *value = PyTuple_GetItem(row, i), *found = NULL;
        int kind = kinds[i] & ~REQUIRED;
        if (value == NULL) goto failed;
        *n_given += value != unset;
        if (value != unset && value != Py_None && kind != IGNORED) {
            found = rows_converted(kind, value, PyTuple_GetItem(converts, i));
            if (found == NULL) goto failed;
        }
        if (found != NULL && found != Py_None) {
            int failed = PyDict_SetItem(out, PyTuple_GetItem(names, i), found);
            Py_DECREF(found);
            if (failed) goto failed;
            continue;
        }
        Py_XDECREF(found);
        if (kinds[i] & REQUIRED) goto failed;
    }
    return out;
failed:
    Py_DECREF(out);
    return NULL;
}

static PyObject *records(PyObject *module, PyObject *args) {
    PyObject *names, *converts, *rows, *unset;
    const char *kinds;
    Py_ssize_t n_kinds, n_keys, n_given = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y#O!O!On:records", &PyTuple_Type, &names, &kinds, &n_kinds,
                          &PyTuple_Type, &converts, &PyList_Type, &rows, &unset, &n_keys))
        return NULL;
    Py_ssize_t n = PyTuple_Size(names), n_rows = PyList_Size(rows);
    if (n_kinds != n || PyTuple_Size(converts) != n) {
        PyErr_SetString(PyExc_ValueError, "expected as many kinds and converters as names");
        return NULL;
    }
    PyObject *out = PyList_New(n_rows);
    if (out == NULL) return NULL;
    for (Py_ssize_t i = 0; i < n_rows; i++) {
        PyObject *row = PyList_GetItem(rows, i); /* borrowed; a converter may not change the list */
        if (row == NULL || !PyTuple_Check(row) || PyTuple_Size(row) != n) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "expected rows of all fields");
            Py_DECREF(out);
            return NULL;
        }
        Py_INCREF(row);
        PyObject *found = record(names, kinds, converts, row, unset, n, &n_given);
        Py_DECREF(row);
        if (found == NULL || PyList_SetItem(out, i, found) < 0) {
            Py_DECREF(out);
            if (PyErr_Occurred()) return NULL;
            Py_RETURN_NONE;
        }
    }
    if (n_given != n_keys) { /* some object names a key twice, or one that no field reads */
        Py_DECREF(out);
        Py_RETURN_NONE;
    }
    return out;
}

/* --- records to columns --------------------------------------------------------------------------- */

/* A number's column: 0, or -1 with an error. */
int rows_plain_column(PyObject *value, double *x) {
    if (value == NULL || value == Py_None) {
        *x = NAN;
        return 0;
    }
    if (PyFloat_CheckExact(value) || PyLong_CheckExact(value)) {
        *x = PyFloat_AsDouble(value);
    } else { /* a record writes infinities as texts */
        PyObject *read = PyObject_CallFunctionObjArgs((PyObject *)&PyFloat_Type, value, NULL);
        if (read == NULL) return -1;
        *x = PyFloat_AsDouble(read);
        Py_DECREF(read);
    }
    if (*x == -1.0 && PyErr_Occurred()) return -1;
    if (*x > FLOAT32_MAX) *x = FLOAT32_MAX;
    if (*x < -FLOAT32_MAX) *x = -FLOAT32_MAX;
    return 0;
}

/* A category's column by its table of codes. */
int rows_coded_column(PyObject *value, PyObject *codes, PyObject *unseen, double *x) {
    PyObject *code = PyDict_GetItemWithError(codes, value == NULL ? Py_None : value);
    if (code == NULL && PyErr_Occurred()) return -1;
    *x = PyFloat_AsDouble(code == NULL ? unseen : code);
    return *x == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* The columns of a field that Python computes. */
int rows_called_columns(PyObject *value, PyObject *part, double *x, Py_ssize_t width) {
    PyObject *list = PyList_New(0);
    if (list == NULL) return -1;
    PyObject *done =
        PyObject_CallFunctionObjArgs(part, value == NULL ? Py_None : value, list, NULL);
    Py_XDECREF(done);
    int failed = done == NULL;
    if (!failed && PyList_Size(list) != width) {
        PyErr_SetString(PyExc_ValueError, "expected as many values as the field has columns");
        failed = 1;
    }
    for (Py_ssize_t i = 0; !failed && i < width; i++) {
        x[i] = PyFloat_AsDouble(PyList_GetItem(list, i));
        failed = x[i] == -1.0 && PyErr_Occurred();
    }
    Py_DECREF(list);
    return failed ? -1 : 0;
}

/* One row's columns by the parts of its fields: None is a plain number, a pair the codes of a category
 * and the one of an unseen value, anything else is called. */
static int encoded(PyObject *names, PyObject *parts, const char *widths, PyObject *row, double *x) {
    Py_ssize_t n = PyTuple_Size(names);
    for (Py_ssize_t i = 0; i < n; x += widths[i++]) {
        PyObject *part = PyTuple_GetItem(parts, i);
        PyObject *value = PyDict_GetItemWithError(row, PyTuple_GetItem(names, i));
        if (value == NULL && PyErr_Occurred()) return -1;
        Py_XINCREF(value);
        int failed = part == Py_None ? rows_plain_column(value, x)
                     : PyTuple_Check(part)
                         ? rows_coded_column(value, PyTuple_GetItem(part, 0), PyTuple_GetItem(part, 1), x)
                         : rows_called_columns(value, part, x, widths[i]);
        Py_XDECREF(value);
        if (failed) return -1;
    }
    return 0;
}

/* How many columns there are; -1 with an error where the parts are not what their comment says. */
Py_ssize_t rows_n_columns(PyObject *parts, const char *widths, Py_ssize_t n) {
    Py_ssize_t d = 0;
    for (Py_ssize_t i = 0; i < n; d += widths[i++]) {
        PyObject *part = PyTuple_GetItem(parts, i);
        int is_pair = PyTuple_Check(part);
        if (widths[i] < 1 || ((part == Py_None || is_pair) && widths[i] != 1) ||
            (is_pair && (PyTuple_Size(part) != 2 || !PyDict_Check(PyTuple_GetItem(part, 0))))) {
            PyErr_SetString(PyExc_ValueError, "expected a part and a width of each field");
            return -1;
        }
    }
    return d;
}

static PyObject *encode(PyObject *module, PyObject *args) {
    PyObject *names, *parts, *rows, *out;
    const char *widths;
    Py_ssize_t n_widths;
    Py_buffer buffer;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!y#O!O:encode", &PyTuple_Type, &names, &PyTuple_Type, &parts,
                          &widths, &n_widths, &PyList_Type, &rows, &out))
        return NULL;
    if (PyTuple_Size(names) != n_widths || PyTuple_Size(parts) != n_widths) {
        PyErr_SetString(PyExc_ValueError, "expected a part and a width of each field");
        return NULL;
    }
    Py_ssize_t d = rows_n_columns(parts, widths, n_widths), n = PyList_Size(rows);
    if (d < 0 || PyObject_GetBuffer(out, &buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
        return NULL;
    int failed = d == 0 || n > PY_SSIZE_T_MAX / d / (Py_ssize_t)sizeof(double) ||
                 buffer.len != n * d * (Py_ssize_t)sizeof(double);
    if (failed) PyErr_SetString(PyExc_ValueError, "expected room for all rows and columns");
    for (Py_ssize_t i = 0; !failed && i < n; i++) {
        PyObject *row = PyList_GetItem(rows, i);
        if (row == NULL || !PyDict_Check(row)) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "expected records");
            failed = 1;
            break;
        }
        Py_INCREF(row);
        failed = encoded(names, parts, widths, row, (double *)buffer.buf + i * d) < 0;
        Py_DECREF(row);
    }
    PyBuffer_Release(&buffer);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_O, "Keys of all objects of a JSON text, and how deep it nests."},
    {"records", records, METH_VARARGS, "Decoded rows as records; None where Python must look."},
    {"encode", encode, METH_VARARGS, "Records as rows of columns, into a buffer of doubles."},
    {"plan", rows_plan, METH_VARARGS, "What read needs to know of a schema and its columns."},
    {"read", rows_read, METH_VARARGS, "Plain objects as records' JSON and rows of columns."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_rows", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__rows(void) { return PyModuleDef_Init(&definition); }
