/* Rows of a multiset digest, four at a time: SHAKE128 of each to 1024 numbers of 16 bits, added.
 * core/multiset.py has the same in Python and says what it is for.
 *
 * Source: FIPS 202 (Keccak-f[1600], SHAKE128).
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are added as they stand in memory: little end first"
#endif

#define ROWS 4
#define RATE 168   /* bytes of a block */
#define WORDS 256  /* of 64 bits that a row becomes: 1024 numbers */
#define ROUNDS 24

typedef uint64_t Words __attribute__((vector_size(32)));    /* one word of each row */
typedef uint16_t Numbers __attribute__((vector_size(32)));  /* the same as numbers */

typedef struct {
    const uint8_t *data[ROWS];
    size_t size[ROWS];
} Four;

static const uint64_t constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};
/* Of the walk of rho and pi from lane 1: where each lane goes, and by how much it is turned. */
static const uint8_t places[24] = {
    10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1,
};
static const uint8_t turns[24] = {
    1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44,
};

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS void permute(Words s[25]) {
    for (int round = 0; round < ROUNDS; round++) {
        Words c[5], kept, next;
#pragma GCC unroll 5
        for (int x = 0; x < 5; x++) c[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
#pragma GCC unroll 5
        for (int x = 0; x < 5; x++) {
            Words d = c[(x + 1) % 5];
            d = c[(x + 4) % 5] ^ (d << 1 | d >> 63);
#pragma GCC unroll 5
            for (int y = 0; y < 25; y += 5) s[x + y] ^= d;
        }
        kept = s[1];
#pragma GCC unroll 24
        for (int i = 0; i < 24; i++) {
            next = s[places[i]];
            s[places[i]] = kept << turns[i] | kept >> (64 - turns[i]);
            kept = next;
        }
#pragma GCC unroll 5
        for (int y = 0; y < 25; y += 5) {
#pragma GCC unroll 5
            for (int x = 0; x < 5; x++) c[x] = s[x + y];
#pragma GCC unroll 5
            for (int x = 0; x < 5; x++) s[x + y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
        }
        s[0] ^= constants[round];
    }
}

/* The block of a row that begins at `at`, the last one with its padding. */
ALWAYS void block_of(uint8_t block[RATE], const uint8_t *data, size_t size, size_t at) {
    size_t n = size - at < RATE ? size - at : RATE;
    memset(block, 0, RATE);
    if (n) memcpy(block, data + at, n);
    if (n < RATE) {
        block[n] ^= 0x1f;
        block[RATE - 1] ^= 0x80;
    }
}

/* Add the rows' numbers: those of row r to lane r of each sum. A row of no data (NULL) adds none. */
ALWAYS void add_rows(Words sums[WORDS], const Four *rows) {
    Words s[25] = {{0}}, wanted;
    size_t blocks[ROWS], most = 0;
    for (int r = 0; r < ROWS; r++) {
        blocks[r] = rows->data[r] ? rows->size[r] / RATE + 1 : 0;
        wanted[r] = rows->data[r] ? UINT64_MAX : 0;
        if (blocks[r] > most) most = blocks[r];
    }
    for (size_t b = 0; b < most; b++) {
        Words before[25], on;
        memcpy(before, s, sizeof before);
        for (int r = 0; r < ROWS; r++) {
            uint8_t block[RATE];
            on[r] = b < blocks[r] ? UINT64_MAX : 0;
            if (b >= blocks[r]) continue;
            block_of(block, rows->data[r], rows->size[r], b * RATE);
            for (int i = 0; i < RATE / 8; i++) {
                uint64_t word;
                memcpy(&word, block + 8 * i, 8);
                s[i][r] ^= word;
            }
        }
        permute(s);
        for (int i = 0; i < 25; i++) s[i] = (s[i] & on) | (before[i] & ~on); /* shorter rows wait */
    }
    for (int done = 0; done < WORDS; done += RATE / 8) {
        if (done) permute(s);
        int n = WORDS - done < RATE / 8 ? WORDS - done : RATE / 8;
        for (int i = 0; i < n; i++)
            sums[done + i] = (Words)((Numbers)sums[done + i] + (Numbers)(s[i] & wanted));
    }
}

static void add_plain(Words sums[WORDS], const Four *rows) { add_rows(sums, rows); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void add_avx2(Words sums[WORDS], const Four *rows) {
    add_rows(sums, rows);
}
#endif

typedef void (*Add)(Words *, const Four *);

static Add best(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return add_avx2;
#endif
    return add_plain;
}

/* The rows from `start` on: how many, or -1 with an exception. */
static int take(PyObject *list, Py_ssize_t start, Four *rows) {
    int n = 0;
    memset(rows, 0, sizeof *rows);
    for (; n < ROWS && start + n < PyList_Size(list); n++) {
        PyObject *row = PyList_GetItem(list, start + n);
        char *data;
        Py_ssize_t size;
        if (!row || PyBytes_AsStringAndSize(row, &data, &size)) return -1;
        rows->data[n] = (const uint8_t *)data;
        rows->size[n] = (size_t)size;
    }
    return n;
}

PyDoc_STRVAR(add_doc,
             "add(rows, sum)\n\n"
             "Add the numbers of a list of bytes to 2048 bytes that can be written, modulo 2**16.");

static PyObject *add(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *list, *target;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &list, &target)) return NULL;
    Words sums[WORDS];
    memset(sums, 0, sizeof sums);
    Add add_four = best();
    for (Py_ssize_t start = 0; start < PyList_Size(list); start += ROWS) {
        Four rows; /* nothing runs in between that could take them away */
        if (take(list, start, &rows) < 0) return NULL;
        add_four(sums, &rows);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(target, &view, PyBUF_WRITABLE)) return NULL;
    if (view.len != WORDS * 8) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "expected 2048 bytes");
        return NULL;
    }
    for (int w = 0; w < WORDS; w++)
        for (int r = 0; r < ROWS; r++)
            for (int k = 0; k < 4; k++) {
                uint16_t number;
                uint8_t *at = (uint8_t *)view.buf + 8 * w + 2 * k;
                memcpy(&number, at, 2);
                number = (uint16_t)(number + (uint16_t)(sums[w][r] >> (16 * k)));
                memcpy(at, &number, 2);
            }
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"add", add, METH_VARARGS, add_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_multiset", "The digest of a set of rows.", 0, functions,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__multiset(void) { return PyModuleDef_Init(&definition); }
