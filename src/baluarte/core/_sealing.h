/* AES-256-GCM of a library that the interpreter uses already; _sealing.c says how it is found. */
#ifndef BALUARTE_SEALING_H
#define BALUARTE_SEALING_H

#include <stddef.h>
#include <stdint.h>

enum { KEY = 32, NONCE = 12, TAG = 16, SEALED_MORE = NONCE + TAG };

/* The 32 bytes within a key that sealing_key made, borrowed; NULL with an error where it is none. */
const uint8_t *key_within(PyObject *key);

/* What seals several texts one after the other: no lock is needed for any of these. NULL where there
 * is no library or no memory. */
void *sealer(void);
void sealer_done(void *sealer);

/* Nonce, ciphertext and tag into out, n + SEALED_MORE bytes; -1 where the library did not do it. */
int seal_text(void *sealer, const uint8_t key[KEY], const uint8_t nonce[NONCE],
              const uint8_t *context, size_t n_context, const uint8_t *text, size_t n, uint8_t *out);

/* Functions of the module. */
PyObject *sealing_load(PyObject *module, PyObject *path);
PyObject *sealing_key(PyObject *module, PyObject *secret);

#endif
