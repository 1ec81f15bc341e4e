/* Text that grows. */
#ifndef BALUARTE_TEXT_H
#define BALUARTE_TEXT_H

#include <Python.h>

#include <stdint.h>
#include <string.h>

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

static int add_int64(Text *text, int64_t whole) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                                "34353637383940414243444546474849505152535455565758596061626364656667"
                                "6869707172737475767778798081828384858687888990919293949596979899";
    char digits[20], *at = digits + sizeof digits;
    uint64_t rest = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
    for (; rest >= 10; rest /= 100) memcpy(at -= 2, pairs + 2 * (rest % 100), 2);
    if (rest > 0 || at == digits + sizeof digits) *--at = (char)('0' + rest);
    if (whole < 0) *--at = '-';
    return add(text, at, (size_t)(digits + sizeof digits - at));
}

#endif
