/* How _records.c writes JSON of what Python hands over. */
#ifndef BALUARTE_RECORD_TEXT_H
#define BALUARTE_RECORD_TEXT_H

#include "_text.h"

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
    long long whole = value == NULL ? -1 : PyLong_AsLongLong(value);
    return whole == -1 && PyErr_Occurred() ? -1 : add_int64(text, whole);
}

static size_t base64_length(size_t n) { return (n + 2) / 3 * 4; }

/* The end of what was written. */
static char *put_base64(char *at, const uint8_t *in, size_t n) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *end = in + n;
    for (; end - in >= 3; in += 3, at += 4) {
        uint32_t three = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        at[0] = letters[three >> 18];
        at[1] = letters[three >> 12 & 63];
        at[2] = letters[three >> 6 & 63];
        at[3] = letters[three & 63];
    }
    if (in < end) {
        uint32_t three = (uint32_t)in[0] << 16 | (end - in > 1 ? (uint32_t)in[1] << 8 : 0);
        *at++ = letters[three >> 18];
        *at++ = letters[three >> 12 & 63];
        *at++ = end - in > 1 ? letters[three >> 6 & 63] : '=';
        *at++ = '=';
    }
    return at;
}

static int add_base64(Text *text, PyObject *bytes) {
    char *from;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(bytes, &from, &n) < 0) return -1;
    char *at = room_for(text, base64_length((size_t)n));
    if (at == NULL) return -1;
    put_base64(at, (const uint8_t *)from, (size_t)n);
    text->length += base64_length((size_t)n);
    return 0;
}

/* Whole numbers as a JSON array. */
static int add_integers(Text *text, PyObject *numbers) {
    Py_ssize_t n = PySequence_Size(numbers);
    if (n < 0 || ADD(text, "[")) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *number = PySequence_GetItem(numbers, i);
        int failed = number == NULL || (i > 0 && ADD(text, ",")) || add_integer(text, number);
        Py_XDECREF(number);
        if (failed) return -1;
    }
    return ADD(text, "]");
}

/* The cells of a table as one JSON array, as msgspec writes it; a row after the other is taken out. */
typedef struct {
    const char *at, *end;
    Py_ssize_t width;
} Cells;

static int cells_error(void) {
    PyErr_SetString(PyExc_ValueError, "expected the cells of each record as one JSON array");
    return -1;
}

static int open_cells(Cells *cells, PyObject *json, Py_ssize_t width) {
    char *from;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(json, &from, &n) < 0) return -1;
    if (n < 2 || from[0] != '[' || from[n - 1] != ']' || width < 0) return cells_error();
    *cells = (Cells){from + 1, from + n - 1, width};
    return 0;
}

/* The cells of the next row. */
static int add_cells(Text *text, Cells *cells) {
    const char *at = cells->at;
    for (Py_ssize_t k = 0; k < cells->width; k++) {
        const char *stop = at < cells->end ? memchr(at, ',', (size_t)(cells->end - at)) : at;
        if (stop == NULL) stop = cells->end;
        if (stop == at) return cells_error();
        at = stop + 1; /* one beyond the end after the last of all */
    }
    if (at > cells->at && add(text, cells->at, (size_t)(at - 1 - cells->at))) return -1;
    cells->at = at;
    return 0;
}

/* The next row, as an array. */
static int add_row(Text *text, Cells *cells) {
    return ADD(text, "[") || add_cells(text, cells) || ADD(text, "]") ? -1 : 0;
}

/* -1 with an error where cells are left. */
static int close_cells(const Cells *cells) { return cells->at < cells->end ? cells_error() : 0; }

#endif
