/* What _plain.c reads by, and _plain_plan.c makes: a schema and its columns. */
#ifndef BALUARTE_PLAIN_H
#define BALUARTE_PLAIN_H

#include "_rows.h"

#define PLAIN_PLAN "baluarte.core._rows.plan"

/* A key of an object: it leads to a field, or to another object. */
typedef struct {
    const char *key;
    size_t length;
    Py_ssize_t target; /* a field's number, or ~ an object's */
    Py_ssize_t next;   /* which key came after this one last time */
} Entry;

typedef struct {
    Entry *entries; /* by their bytes */
    Py_ssize_t n, first; /* how many, and which came first last time */
} Node;

typedef struct {
    PyObject *name, *convert; /* `"name":` as a record has it */
    int kind;                 /* with REQUIRED */
} Field;

typedef struct {
    Py_ssize_t field, width;
    PyObject *part; /* as core/encode.py's: None, (codes, code of an unseen one), or called */
} Column;

typedef struct {
    PyObject *held; /* all objects that are borrowed here */
    PyObject *encode;
    Field *fields;
    Node *nodes;
    Entry *entries;
    Column *columns;
    Py_ssize_t n_fields, n_nodes, n_columns, d, id, time;
} Plan;

/* -1, 0 or 1 as a key's bytes come before, are, or come after others. */
static inline int plain_compare(const Entry *entry, const char *key, size_t length) {
    size_t shorter = entry->length < length ? entry->length : length;
    int found = memcmp(entry->key, key, shorter);
    if (found) return found < 0 ? -1 : 1;
    return entry->length < length ? -1 : entry->length > length;
}

/* -1, with a ValueError that says what was expected. */
int plain_refuse(const char *expected);

/* Room for n things and one more, all zeros; NULL with an error. */
void *plain_zeros(Py_ssize_t n, size_t size);

#endif
