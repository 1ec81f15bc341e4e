/* Entries of the table of claims (claim_table.py, which is the rule and says what the table is), and the
 * keys that stand for events in it.
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

/* ---- keys ----------------------------------------------------------------------------------- */

/* BLAKE2b with a key and a personalisation (RFC 7693); a block is of sixteen words. */
enum { BLOCK = 128, STATE = 8, WORDS = 16, ROUNDS = 12, MOST_SALT = 64, PERSON = 16 };

static const uint64_t IV[STATE] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint8_t SIGMA[10][WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t load64(const unsigned char *at) {
    return (uint64_t)load32(at) | (uint64_t)load32(at + 4) << 32;
}

static uint64_t turned(uint64_t x, int n) {
    return x >> n | x << (64 - n);
}

static void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = turned(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = turned(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 63);
}

/* Takes a block in; `n` bytes are in with it. */
static void compress(uint64_t *state, const unsigned char *block, uint64_t n, int is_last) {
    uint64_t v[2 * STATE], m[WORDS];
    for (int i = 0; i < WORDS; i++) m[i] = load64(block + 8 * i);
    memcpy(v, state, STATE * sizeof *v);
    memcpy(v + STATE, IV, sizeof IV);
    v[12] ^= n;
    if (is_last) v[14] = ~v[14];
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *s = SIGMA[round % 10];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < STATE; i++) state[i] ^= v[i] ^ v[i + STATE];
}

typedef struct {
    uint64_t begun[STATE], salted[STATE]; /* before and after the salt, which is a block of its own */
    unsigned char salt[BLOCK];
} Keyed;

static void begin_keyed(Keyed *keyed, const char *salt, Py_ssize_t n, const unsigned char *person) {
    memcpy(keyed->begun, IV, sizeof IV);
    keyed->begun[0] ^= (uint64_t)KEY | (uint64_t)n << 8 | (uint64_t)1 << 16 | (uint64_t)1 << 24;
    keyed->begun[6] ^= load64(person);
    keyed->begun[7] ^= load64(person + 8);
    memset(keyed->salt, 0, BLOCK);
    memcpy(keyed->salt, salt, (size_t)n);
    memcpy(keyed->salted, keyed->begun, sizeof keyed->begun);
    compress(keyed->salted, keyed->salt, BLOCK, 0);
}

static void key_of_id(const Keyed *keyed, const char *id, size_t n, unsigned char *key) {
    uint64_t state[STATE], taken = BLOCK;
    unsigned char last[BLOCK] = {0};
    memcpy(state, n ? keyed->salted : keyed->begun, sizeof state);
    for (; n > BLOCK; n -= BLOCK, id += BLOCK)
        compress(state, (const unsigned char *)id, taken += BLOCK, 0);
    if (n) {
        memcpy(last, id, n);
        compress(state, last, taken + n, 1);
    } else {
        compress(state, keyed->salt, BLOCK, 1);
    }
    for (int i = 0; i < KEY; i++) key[i] = (unsigned char)(state[i / 8] >> 8 * (i % 8));
}

/* The key of an event's id, or NULL with an error; one that UTF-8 doesn't have is passed through. */
static PyObject *key_of_text(const Keyed *keyed, PyObject *id) {
    unsigned char key[KEY];
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(id, &n);
    PyObject *passed = NULL;
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return NULL;
        PyErr_Clear();
        passed = PyUnicode_AsEncodedString(id, "utf-8", "surrogatepass");
        char *bytes;
        if (passed == NULL || PyBytes_AsStringAndSize(passed, &bytes, &n) < 0) {
            Py_XDECREF(passed);
            return NULL;
        }
        text = bytes;
    }
    key_of_id(keyed, text, (size_t)n, key);
    Py_XDECREF(passed);
    return PyBytes_FromStringAndSize((const char *)key, KEY);
}

static PyObject *keys(PyObject *module, PyObject *args) {
    const char *salt, *person;
    Py_ssize_t n_salt, n_person;
    PyObject *ids;
    Keyed keyed;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#y#O!:keys", &salt, &n_salt, &person, &n_person, &PyList_Type,
                          &ids))
        return NULL;
    if (n_salt < 1 || n_salt > MOST_SALT || n_person != PERSON) {
        PyErr_SetString(PyExc_ValueError, "expected a salt of 1 to 64 bytes and 16 of whose it is");
        return NULL;
    }
    begin_keyed(&keyed, salt, n_salt, (const unsigned char *)person);
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_Size(ids); i++) {
        PyObject *key = key_of_text(&keyed, PyList_GetItem(ids, i));
        if (key == NULL || PyList_Append(found, key) < 0) Py_CLEAR(found);
        Py_XDECREF(key);
    }
    return found;
}

static PyMethodDef methods[] = {
    {"keys", keys, METH_VARARGS, "What stands for events in the table: BLAKE2b of their ids."},
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
