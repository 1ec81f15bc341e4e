/* Records to frames, leaf hashes and the Merkle frontier in one pass; core/leaves.py has the same in
 * Python and says what it is for. The interpreter's lock is not held while bytes are hashed.
 *
 * Source: FIPS 180-4 (SHA-256); RFC 9162 section 2.1 (the tree); ISO 3309 (CRC-32); Gulley et al.,
 * "Intel SHA Extensions", 2013 (the order of the instructions).
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_SHA_NI 1
#include <cpuid.h>
#include <immintrin.h>
#endif

#define HASH 32
#define BLOCK 64
#define MAX_PEAKS 64
#define HEADER 8 /* length and CRC-32 of a frame */
#define ENTRY 40 /* offset and leaf hash of a record */

/* --- SHA-256 ------------------------------------------------------------------------------------ */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t rotated(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void blocks_plain(uint32_t state[8], const uint8_t *data, size_t n_blocks) {
    for (; n_blocks; n_blocks--, data += BLOCK) {
        uint32_t w[64], v[8];
        for (int t = 0; t < 16; t++)
            w[t] = (uint32_t)data[4 * t] << 24 | (uint32_t)data[4 * t + 1] << 16 |
                   (uint32_t)data[4 * t + 2] << 8 | data[4 * t + 3];
        for (int t = 16; t < 64; t++) {
            uint32_t a = w[t - 15], b = w[t - 2];
            w[t] = w[t - 16] + w[t - 7] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) +
                   (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
        }
        memcpy(v, state, sizeof v);
#pragma GCC unroll 8
        for (int t = 0; t < 64; t++) { /* v[i] of the standard stands in v[(i - t) & 7] */
            uint32_t a = v[-t & 7], b = v[(1 - t) & 7], c = v[(2 - t) & 7];
            uint32_t e = v[(4 - t) & 7], f = v[(5 - t) & 7], g = v[(6 - t) & 7];
            uint32_t one = v[(7 - t) & 7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                           (g ^ (e & (f ^ g))) + K[t] + w[t];
            uint32_t two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                           ((a & b) | (c & (a | b)));
            v[(3 - t) & 7] += one;
            v[(7 - t) & 7] = one + two;
        }
        for (int i = 0; i < 8; i++) state[i] += v[i];
    }
}

#ifdef HAS_SHA_NI
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_sha_ni(uint32_t state[8],
                                                                      const uint8_t *data,
                                                                      size_t n_blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i cdgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, cdgh, 8);
    cdgh = _mm_blend_epi16(cdgh, low, 0xF0);
    for (; n_blocks; n_blocks--, data += BLOCK) {
        __m128i m[4], abef_before = abef, cdgh_before = cdgh;
        for (int i = 0; i < 4; i++)
            m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int g = 0; g < 16; g++) {
            __m128i words = _mm_add_epi32(m[g & 3], _mm_loadu_si128((const __m128i *)(K + 4 * g)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0E));
            if (g < 12) {
                __m128i between = _mm_alignr_epi8(m[(g + 3) & 3], m[(g + 2) & 3], 4);
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(m[g & 3], m[(g + 1) & 3]), between);
                m[g & 3] = _mm_sha256msg2_epu32(sum, m[(g + 3) & 3]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static int cpu_has_sha(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 19) || !(c & 1u << 9)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}
#endif

static void (*blocks)(uint32_t[8], const uint8_t *, size_t) = blocks_plain;

/* SHA-256 of the data, after one byte where there is a mark. */
static void hash_after(const uint8_t *mark, const uint8_t *data, size_t length,
                       uint8_t out[HASH]) {
    uint32_t state[8];
    uint8_t edge[2 * BLOCK];
    size_t before = mark != NULL, total = length + before, left = total;
    memcpy(state, START, sizeof state);
    if (mark) edge[0] = *mark;
    if (total >= BLOCK) {
        memcpy(edge + before, data, BLOCK - before);
        blocks(state, edge, 1);
        data += BLOCK - before;
        left -= BLOCK;
        blocks(state, data, left / BLOCK);
        data += left / BLOCK * BLOCK;
        left %= BLOCK;
        memcpy(edge, data, left);
    } else {
        memcpy(edge + before, data, length);
    }
    size_t padded = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    edge[left] = 0x80;
    memset(edge + left + 1, 0, padded - left - 9);
    uint64_t bits = (uint64_t)total * 8;
    for (int i = 0; i < 8; i++) edge[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
    blocks(state, edge, padded / BLOCK);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) out[4 * i + j] = (uint8_t)(state[i] >> (24 - 8 * j));
}

/* How leaves (0) and nodes (1) are told apart. */
static void hash_marked(uint8_t mark, const uint8_t *data, size_t length, uint8_t out[HASH]) {
    hash_after(&mark, data, length, out);
}

/* --- the tree ----------------------------------------------------------------------------------- */

typedef struct {
    uint64_t size;
    size_t count; /* of peaks: the bits that are set in size */
    uint8_t pairs[MAX_PEAKS + 1][HASH];
} Frontier;

/* -1 where the peaks are not those of a tree of this size. */
static int read_frontier(Frontier *frontier, unsigned long long size, const char *peaks,
                         Py_ssize_t n_bytes) {
    size_t count = 0;
    for (unsigned long long bits = size; bits; bits &= bits - 1) count++;
    if (size >> 62 || n_bytes != (Py_ssize_t)(count * HASH)) {
        PyErr_SetString(PyExc_ValueError, "the peaks are not those of a tree of this size");
        return -1;
    }
    frontier->size = size;
    frontier->count = count;
    memcpy(frontier->pairs, peaks, count * HASH);
    return 0;
}

static void grow_by(Frontier *frontier, const uint8_t leaf[HASH]) {
    memcpy(frontier->pairs[frontier->count++], leaf, HASH);
    for (uint64_t bits = frontier->size++; bits & 1; bits >>= 1) {
        uint8_t *left = frontier->pairs[frontier->count - 2], node[HASH];
        hash_marked(1, left, 2 * HASH, node);
        memcpy(left, node, HASH);
        frontier->count--;
    }
}

static PyObject *peaks_of(const Frontier *frontier) {
    return PyBytes_FromStringAndSize((const char *)frontier->pairs,
                                     (Py_ssize_t)(frontier->count * HASH));
}

/* --- frames ------------------------------------------------------------------------------------- */

static uint32_t crc_table[8][256];

static void make_crc_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        crc_table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (int i = 0; i < 256; i++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

static uint32_t little(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_little(uint8_t *at, uint64_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t crc32(const uint8_t *data, size_t length) {
    uint32_t c = 0xFFFFFFFFu;
    for (; length >= 8; length -= 8, data += 8) {
        uint32_t a = little(data) ^ c, b = little(data + 4);
        c = crc_table[7][a & 255] ^ crc_table[6][a >> 8 & 255] ^ crc_table[5][a >> 16 & 255] ^
            crc_table[4][a >> 24] ^ crc_table[3][b & 255] ^ crc_table[2][b >> 8 & 255] ^
            crc_table[1][b >> 16 & 255] ^ crc_table[0][b >> 24];
    }
    for (; length; length--, data++) c = c >> 8 ^ crc_table[0][(c ^ *data) & 255];
    return ~c;
}

/* --- the module --------------------------------------------------------------------------------- */

typedef struct {
    PyObject *held; /* a tuple that keeps the records while the lock is given up */
    Py_ssize_t count;
    const uint8_t **data;
    size_t *lengths;
} Records;

static void let_go(Records *records) {
    PyMem_Free(records->data);
    PyMem_Free(records->lengths);
    Py_XDECREF(records->held);
}

/* -1 with an exception where it is no list of bytes. */
static int hold(Records *records, PyObject *list) {
    memset(records, 0, sizeof *records);
    records->held = PySequence_Tuple(list);
    if (!records->held) return -1;
    Py_ssize_t count = records->count = PyTuple_Size(records->held);
    records->data = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *records->data);
    records->lengths = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *records->lengths);
    if (!records->data || !records->lengths) {
        let_go(records);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        char *data;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(records->held, i), &data, &length)) {
            let_go(records);
            return -1;
        }
        records->data[i] = (const uint8_t *)data;
        records->lengths[i] = (size_t)length;
    }
    return 0;
}

/* Records one after the other, with their lengths: what waits as one object for many records. */
typedef struct {
    const uint8_t *data;
    const uint32_t *lengths;
    size_t count;
} Group;

typedef struct {
    PyObject *data, *lengths; /* tuples that keep them while the lock is given up */
    Group *groups;
    Py_ssize_t n_groups;
    size_t count, total; /* records, and their bytes */
} Groups;

static void let_go_of_groups(Groups *groups) {
    PyMem_Free(groups->groups);
    Py_XDECREF(groups->data);
    Py_XDECREF(groups->lengths);
}

/* -1 with an exception where the lengths are not those of what stands in the data. */
static int read_group(Group *group, size_t *n_bytes, PyObject *data, PyObject *lengths) {
    char *bytes, *numbers;
    Py_ssize_t length, n_numbers;
    if (PyBytes_AsStringAndSize(data, &bytes, &length) ||
        PyBytes_AsStringAndSize(lengths, &numbers, &n_numbers))
        return -1;
    group->data = (const uint8_t *)bytes;
    group->lengths = (const uint32_t *)(const void *)numbers; /* the data of bytes is aligned */
    group->count = (size_t)n_numbers / sizeof *group->lengths;
    uint64_t sum = 0;
    for (size_t i = 0; i < group->count; i++) sum += group->lengths[i];
    if ((size_t)n_numbers % sizeof *group->lengths || sum != (uint64_t)length) {
        PyErr_SetString(PyExc_ValueError, "the lengths are not those of the records");
        return -1;
    }
    *n_bytes = (size_t)length;
    return 0;
}

static int hold_groups(Groups *groups, PyObject *data, PyObject *lengths) {
    memset(groups, 0, sizeof *groups);
    groups->data = PySequence_Tuple(data);
    groups->lengths = groups->data ? PySequence_Tuple(lengths) : NULL;
    int failed = groups->lengths == NULL;
    Py_ssize_t n = failed ? 0 : PyTuple_Size(groups->data);
    if (!failed && PyTuple_Size(groups->lengths) != n) {
        PyErr_SetString(PyExc_ValueError, "expected lengths for each group of records");
        failed = 1;
    }
    groups->n_groups = n;
    groups->groups = failed ? NULL : PyMem_Malloc((size_t)(n ? n : 1) * sizeof *groups->groups);
    if (!failed && !groups->groups) {
        PyErr_NoMemory();
        failed = 1;
    }
    for (Py_ssize_t i = 0; !failed && i < n; i++) {
        size_t n_bytes = 0;
        failed = read_group(&groups->groups[i], &n_bytes, PyTuple_GetItem(groups->data, i),
                            PyTuple_GetItem(groups->lengths, i));
        groups->count += groups->groups[i].count;
        groups->total += n_bytes;
    }
    if (failed) let_go_of_groups(groups);
    return failed ? -1 : 0;
}

PyDoc_STRVAR(seal_doc,
             "seal(data, lengths, offset, size, peaks) -> (frames, entries, peaks)\n\n"
             "What a segment, its index and its head get for records that are appended: groups of\n"
             "them, one after the other in each one's data, their lengths native u32.");

static PyObject *seal(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *data, *lengths;
    const char *peaks;
    Py_ssize_t n_peaks;
    unsigned long long offset, size;
    Groups groups;
    Frontier frontier;
    if (!PyArg_ParseTuple(args, "OOKKy#", &data, &lengths, &offset, &size, &peaks, &n_peaks))
        return NULL;
    if (read_frontier(&frontier, size, peaks, n_peaks) || hold_groups(&groups, data, lengths))
        return NULL;
    PyObject *frames =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(groups.total + HEADER * groups.count));
    PyObject *entries = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(ENTRY * groups.count));
    if (!frames || !entries) {
        Py_XDECREF(frames);
        Py_XDECREF(entries);
        let_go_of_groups(&groups);
        return NULL;
    }
    uint8_t *begin = (uint8_t *)PyBytes_AsString(frames);
    uint8_t *entry = (uint8_t *)PyBytes_AsString(entries);
    Py_BEGIN_ALLOW_THREADS
    uint8_t *frame = begin;
    for (Py_ssize_t k = 0; k < groups.n_groups; k++) {
        const uint8_t *at = groups.groups[k].data;
        for (size_t i = 0; i < groups.groups[k].count; i++, entry += ENTRY) {
            size_t n = groups.groups[k].lengths[i];
            put_little(entry, offset + (uint64_t)(frame - begin), 8);
            hash_marked(0, at, n, entry + 8);
            grow_by(&frontier, entry + 8);
            put_little(frame, n, 4);
            put_little(frame + 4, crc32(at, n), 4);
            memcpy(frame + HEADER, at, n);
            frame += HEADER + n;
            at += n;
        }
    }
    Py_END_ALLOW_THREADS
    let_go_of_groups(&groups);
    PyObject *after = peaks_of(&frontier);
    PyObject *result = after ? PyTuple_Pack(3, frames, entries, after) : NULL;
    Py_DECREF(frames);
    Py_DECREF(entries);
    Py_XDECREF(after);
    return result;
}

PyDoc_STRVAR(leaf_hashes_doc, "leaf_hashes(records) -> bytes\n\n32 bytes a record, in order.");

static PyObject *leaf_hashes(PyObject *module, PyObject *list) {
    (void)module;
    Records records;
    if (hold(&records, list)) return NULL;
    PyObject *hashes = PyBytes_FromStringAndSize(NULL, HASH * records.count);
    if (hashes) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(hashes);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < records.count; i++, out += HASH)
            hash_marked(0, records.data[i], records.lengths[i], out);
        Py_END_ALLOW_THREADS
    }
    let_go(&records);
    return hashes;
}

PyDoc_STRVAR(digests_doc, "digests(texts) -> list of 'sha256:' and 64 hex digits, in order.");

static PyObject *digests(PyObject *module, PyObject *list) {
    static const char hex[] = "0123456789abcdef";
    char said[7 + 2 * HASH] = "sha256:";
    uint8_t hash[HASH];
    (void)module;
    Records texts;
    if (hold(&texts, list)) return NULL;
    PyObject *out = PyList_New(texts.count);
    for (Py_ssize_t i = 0; out != NULL && i < texts.count; i++) {
        hash_after(NULL, texts.data[i], texts.lengths[i], hash);
        for (int k = 0; k < HASH; k++) {
            said[7 + 2 * k] = hex[hash[k] >> 4];
            said[8 + 2 * k] = hex[hash[k] & 15];
        }
        PyObject *text = PyUnicode_FromStringAndSize(said, sizeof said);
        if (text == NULL || PyList_SetItem(out, i, text) < 0) Py_CLEAR(out);
    }
    let_go(&texts);
    return out;
}

PyDoc_STRVAR(grow_doc, "grow(size, peaks, leaves) -> peaks\n\n"
                       "The frontier after these leaf hashes, 32 bytes each.");

static PyObject *grow(PyObject *module, PyObject *args) {
    (void)module;
    const char *peaks, *leaves;
    Py_ssize_t n_peaks, n_leaves;
    unsigned long long size;
    Frontier frontier;
    if (!PyArg_ParseTuple(args, "Ky#y#", &size, &peaks, &n_peaks, &leaves, &n_leaves)) return NULL;
    if (n_leaves % HASH) {
        PyErr_SetString(PyExc_ValueError, "a leaf hash has 32 bytes");
        return NULL;
    }
    if (read_frontier(&frontier, size, peaks, n_peaks)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < n_leaves; at += HASH)
        grow_by(&frontier, (const uint8_t *)leaves + at);
    Py_END_ALLOW_THREADS
    return peaks_of(&frontier);
}

PyDoc_STRVAR(use_doc, "use(plain) -> bool\n\n"
                      "Hash by the portable code alone, or by what the processor has; says whether "
                      "it has more.");

static PyObject *use(PyObject *module, PyObject *plain) {
    (void)module;
    int only = PyObject_IsTrue(plain);
    if (only < 0) return NULL;
    blocks = blocks_plain;
#ifdef HAS_SHA_NI
    if (!only && cpu_has_sha()) blocks = blocks_sha_ni;
#endif
    return PyBool_FromLong(blocks != blocks_plain);
}

static PyMethodDef methods[] = {
    {"seal", seal, METH_VARARGS, seal_doc},
    {"leaf_hashes", leaf_hashes, METH_O, leaf_hashes_doc},
    {"digests", digests, METH_O, digests_doc},
    {"grow", grow, METH_VARARGS, grow_doc},
    {"use", use, METH_O, use_doc},
    {NULL, NULL, 0, NULL},
};

static int begin(PyObject *module) {
    (void)module;
    make_crc_table();
#ifdef HAS_SHA_NI
    if (cpu_has_sha()) blocks = blocks_sha_ni;
#endif
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)begin}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_leaves",
    .m_doc = "Frames, leaf hashes and the Merkle frontier: core/leaves.py.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__leaves(void) { return PyModuleDef_Init(&definition); }
