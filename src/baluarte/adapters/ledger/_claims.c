/* Entries of the table of claims (claim_table.py, which is the rule and says what the table is).
 *
 * A batch of requests is claimed at once: each whole or not at all, and the rows of those that are stand
 * one after another in the shard.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum { WAYS = 16, PRINT = 8, KEY = 16, ENTRY = 16, PRINTS = 8, ENTRIES = PRINTS + WAYS * PRINT };
enum { BUCKET = ENTRIES + WAYS * ENTRY };

static uint32_t load32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void store32(unsigned char *at, uint32_t value) {
    for (int k = 0; k < 4; k++) at[k] = (unsigned char)(value >> 8 * k);
}

/* The entry of a fingerprint in a bucket; NULL where there is none. */
static unsigned char *find(unsigned char *bucket, const unsigned char *key) {
    for (int way = 0; way < WAYS; way++)
        if (memcmp(bucket + PRINTS + way * PRINT, key, PRINT) == 0)
            return bucket + ENTRIES + way * ENTRY;
    return NULL;
}

typedef struct {
    unsigned char *buckets;
    uint64_t n;
    uint32_t second, epoch, floor;
    long early;
} Table;

static void enter(const Table *table, unsigned char *entry, uint64_t place) {
    store32(entry, table->second);
    store32(entry + 4, table->epoch);
    store32(entry + 8, (uint32_t)place);
    store32(entry + 12, (uint32_t)(place >> 32));
}

/* Whether the event was free; then it is claimed. */
static int claim_one(Table *table, const unsigned char *key, uint64_t place) {
    unsigned char *bucket = table->buckets + load32(key + 8) % table->n * BUCKET;
    unsigned char *other = table->buckets + load32(key + 12) % table->n * BUCKET;
    unsigned char *entry = find(bucket, key);
    if (entry == NULL) entry = find(other, key);
    if (entry != NULL) {
        if (load32(entry) >= table->floor) return 0;
        enter(table, entry, place);
        return 1;
    }
    /* Between entries of one second, which empty ones are too, the bucket that is less full. */
    int way = bucket[0] % WAYS, way_of_other = other[0] % WAYS;
    uint32_t oldest = load32(bucket + ENTRIES + way * ENTRY);
    uint32_t oldest_of_other = load32(other + ENTRIES + way_of_other * ENTRY);
    if (oldest_of_other < oldest || (oldest_of_other == oldest && way_of_other < way)) {
        bucket = other;
        way = way_of_other;
        oldest = oldest_of_other;
    }
    table->early += oldest >= table->floor;
    bucket[0] = (unsigned char)((way + 1) % WAYS);
    memcpy(bucket + PRINTS + way * PRINT, key, PRINT);
    enter(table, bucket + ENTRIES + way * ENTRY, place);
    return 1;
}

/* The one key of a request, or none of it; -1 with an error where it is neither. */
static int key_of(PyObject *request, const unsigned char **key, uint64_t *row, uint64_t *n_rows) {
    PyObject *keys = PyTuple_Check(request) && PyTuple_Size(request) == 2
                         ? PyTuple_GetItem(request, 0)
                         : NULL;
    PyObject *rows = keys == NULL ? NULL : PyTuple_GetItem(request, 1);
    if (rows == NULL || !PyList_Check(keys) || !PyList_Check(rows) || PyList_Size(keys) > 1 ||
        PyList_Size(rows) != PyList_Size(keys) + 1) {
        PyErr_SetString(PyExc_ValueError, "expected of each request at most one key, and its rows");
        return -1;
    }
    Py_ssize_t n_keys = PyList_Size(keys), length;
    PyObject *last = PyList_GetItem(rows, n_keys);
    *n_rows = last == NULL ? (uint64_t)-1 : PyLong_AsUnsignedLongLong(last);
    if (*n_rows == (uint64_t)-1) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "expected a number of rows");
        return -1;
    }
    if (n_keys == 0) return 0;
    char *bytes;
    *row = PyLong_AsUnsignedLongLong(PyList_GetItem(rows, 0));
    if (*row == (uint64_t)-1 && PyErr_Occurred()) return -1;
    if (PyBytes_AsStringAndSize(PyList_GetItem(keys, 0), &bytes, &length) < 0) return -1;
    if (length != KEY) {
        PyErr_SetString(PyExc_ValueError, "expected keys of 16 bytes");
        return -1;
    }
    *key = (const unsigned char *)bytes;
    return 1;
}

static PyObject *claim(PyObject *module, PyObject *args) {
    Py_buffer map;
    PyObject *requests, *taken = NULL;
    Py_ssize_t at;
    unsigned int n, second, epoch, floor;
    unsigned long long place;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*nIO!KIII:claim", &map, &at, &n, &PyList_Type, &requests, &place,
                          &second, &epoch, &floor))
        return NULL;
    Table table = {NULL, n, second, epoch, floor, 0};
    if (at < 0 || n == 0 || map.len < at || (uint64_t)(map.len - at) / BUCKET < n) {
        PyErr_SetString(PyExc_ValueError, "expected a table with all its buckets");
        goto done;
    }
    table.buckets = (unsigned char *)map.buf + at;
    taken = PyList_New(0);
    for (Py_ssize_t i = 0; taken != NULL && i < PyList_Size(requests); i++) {
        const unsigned char *key = NULL;
        uint64_t row = 0, n_rows = 0;
        int found = key_of(PyList_GetItem(requests, i), &key, &row, &n_rows);
        int free = found < 0 ? -1 : found == 0 || claim_one(&table, key, place + row);
        if (free < 0 || PyList_Append(taken, free ? Py_True : Py_False) < 0) Py_CLEAR(taken);
        if (free > 0) place += n_rows;
    }
done:
    PyBuffer_Release(&map);
    if (taken == NULL) return NULL;
    return Py_BuildValue("Nl", taken, table.early);
}

static PyMethodDef methods[] = {
    {"claim", claim, METH_VARARGS, "Claim the events of requests of at most one key each."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "baluarte.adapters.ledger._claims", NULL, 0, methods, slots, NULL, NULL,
    NULL,
};

__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__claims(void) {
    return PyModuleDef_Init(&module);
}
