/* AES-256-GCM for many texts in one call. The cipher is libcrypto's: the one that the interpreter's own
 * hashes are linked with, found behind that module. Nothing of it is compiled in, so where it can't be
 * found all is as it was without: adapters/sealing.py seals by another library, to the same bytes.
 *
 * Source: NIST SP 800-38D; McGrew and Viega, "The Galois/Counter Mode of Operation", 2005, test case 16;
 * https://docs.openssl.org/3.0/man3/EVP_EncryptInit/ (AEAD interface).
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "_sealing.h"

enum { GET_TAG = 0x10 }; /* EVP_CTRL_AEAD_GET_TAG: the same in all versions from 1.1 on */

static struct {
    void *(*new_context)(void);
    void (*free_context)(void *);
    int (*init)(void *, const void *, void *, const unsigned char *, const unsigned char *);
    int (*update)(void *, unsigned char *, int *, const unsigned char *, int);
    int (*final)(void *, unsigned char *, int *);
    int (*control)(void *, int, int, void *);
    void (*clear_error)(void);
} crypto;
static const void *aes_256_gcm; /* looked for once; NULL: nothing is sealed */

void *sealer(void) {
    void *context = aes_256_gcm != NULL ? crypto.new_context() : NULL;
    if (context != NULL && crypto.init(context, aes_256_gcm, NULL, NULL, NULL) != 1) {
        crypto.clear_error();
        sealer_done(context);
        context = NULL;
    }
    return context;
}

void sealer_done(void *context) {
    if (context != NULL) crypto.free_context(context); /* which wipes the key within */
}

int seal_text(void *context, const uint8_t key[KEY], const uint8_t nonce[NONCE], const uint8_t *bound,
              size_t n_bound, const uint8_t *text, size_t n, uint8_t *out) {
    uint8_t *sealed = out + NONCE;
    int n_out = 0, n_last = 0;
    if (n > INT_MAX - SEALED_MORE || n_bound > INT_MAX) return -1;
    memcpy(out, nonce, NONCE);
    if (crypto.init(context, NULL, NULL, key, nonce) == 1 &&
        crypto.update(context, NULL, &n_out, bound, (int)n_bound) == 1 &&
        crypto.update(context, sealed, &n_out, text, (int)n) == 1 && n_out == (int)n &&
        crypto.final(context, sealed + n, &n_last) == 1 && n_last == 0 &&
        crypto.control(context, GET_TAG, TAG, sealed + n) == 1)
        return 0;
    crypto.clear_error(); /* or the interpreter's own ssl would take it for its own */
    return -1;
}

/* --- the library ------------------------------------------------------------------------------------ */

/* Whether what was found gives what was published. */
static int is_sound(void) {
    static const uint8_t half[16] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
                                     0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
    static const uint8_t nonce[NONCE] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                         0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
    static const uint8_t bound[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                      0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
    static const uint8_t text[60] = {
        0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
        0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
        0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
        0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39,
    };
    static const uint8_t expected[sizeof text + TAG] = {
        0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42,
        0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55,
        0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56,
        0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62,
        0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55,
        0x1b,
    };
    uint8_t key[KEY], out[sizeof text + SEALED_MORE];
    memcpy(key, half, sizeof half);
    memcpy(key + sizeof half, half, sizeof half);
    void *context = sealer();
    int failed = context == NULL;
    for (int round = 0; round < 2 && !failed; round++) /* the second with what the first has left */
        failed = seal_text(context, key, nonce, bound, sizeof bound, text, sizeof text, out) ||
                 memcmp(out, nonce, NONCE) || memcmp(out + NONCE, expected, sizeof expected);
    sealer_done(context);
    return !failed;
}

/* The cipher; where there is no fetching yet (before 3.0) it is a table of the library. */
static const void *cipher_of(void *library) {
    const void *(*fetch)(void *, const char *, const char *) = NULL;
    const void *(*table)(void) = NULL;
    void *found = dlsym(library, "EVP_CIPHER_fetch");
    memcpy(&fetch, &found, sizeof found);
    if (fetch != NULL) return fetch(NULL, "AES-256-GCM", NULL);
    found = dlsym(library, "EVP_aes_256_gcm");
    memcpy(&table, &found, sizeof found);
    return table != NULL ? table() : NULL;
}

/* load(path) -> bool: use the libcrypto that a loaded extension module is linked with. */
PyObject *sealing_load(PyObject *module, PyObject *path) {
    const char *name = PyUnicode_AsUTF8AndSize(path, NULL);
    (void)module;
    if (name == NULL) return NULL;
    aes_256_gcm = NULL;
    /* never closed: it stays for as long as the interpreter's module, which is for good */
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    const struct {
        void *to;
        const char *name;
    } wanted[] = {
        {&crypto.new_context, "EVP_CIPHER_CTX_new"}, {&crypto.free_context, "EVP_CIPHER_CTX_free"},
        {&crypto.init, "EVP_EncryptInit_ex"},        {&crypto.update, "EVP_EncryptUpdate"},
        {&crypto.final, "EVP_EncryptFinal_ex"},      {&crypto.control, "EVP_CIPHER_CTX_ctrl"},
        {&crypto.clear_error, "ERR_clear_error"},
    };
    int found = library != NULL;
    for (size_t k = 0; found && k < sizeof wanted / sizeof *wanted; k++) {
        void *symbol = dlsym(library, wanted[k].name);
        memcpy(wanted[k].to, &symbol, sizeof symbol);
        found = symbol != NULL;
    }
    aes_256_gcm = found ? cipher_of(library) : NULL;
    if (aes_256_gcm != NULL && !is_sound()) aes_256_gcm = NULL;
    return PyBool_FromLong(aes_256_gcm != NULL);
}

/* --- keys ------------------------------------------------------------------------------------------- */

static const char KIND[] = "baluarte.core._records.key";

static void wipe(uint8_t key[KEY]) {
    volatile uint8_t *at = key; /* whatever the compiler thinks of bytes that nobody reads again */
    for (int i = 0; i < KEY; i++) at[i] = 0;
}

static void let_go_of_key(PyObject *capsule) {
    uint8_t *key = PyCapsule_GetPointer(capsule, KIND);
    if (key != NULL) wipe(key);
    PyMem_Free(key);
}

const uint8_t *key_within(PyObject *key) { return PyCapsule_GetPointer(key, KIND); }

/* key(secret) -> what several texts are sealed with at once; wiped when nobody has it any more. */
PyObject *sealing_key(PyObject *module, PyObject *secret) {
    char *from;
    Py_ssize_t n;
    (void)module;
    if (PyBytes_AsStringAndSize(secret, &from, &n) < 0) return NULL;
    if (n != KEY) {
        PyErr_Format(PyExc_ValueError, "expected a key of %d bytes, found %zd", KEY, n);
        return NULL;
    }
    uint8_t *key = PyMem_Malloc(KEY);
    if (key == NULL) return PyErr_NoMemory();
    memcpy(key, from, KEY);
    PyObject *capsule = PyCapsule_New(key, KIND, let_go_of_key);
    if (capsule == NULL) {
        wipe(key);
        PyMem_Free(key);
    }
    return capsule;
}
