/* What _rows.c and _plain.c share: values in their record form, and as columns. */
#ifndef BALUARTE_ROWS_H
#define BALUARTE_ROWS_H

#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_EXACT 9007199254740992LL /* 2**53: core.event.MAX_EXACT_INTEGER */
#define FLOAT32_MAX 3.4028234663852886e38

/* How a field's values become their record form; core/quick_rows.py numbers them. */
enum { IGNORED = 0, NUMBER = 1, INTEGER = 2, CATEGORY = 3, TEXT = 4, CONVERTED = 5, REQUIRED = 64 };
enum { MAX_CATEGORY = 512, MAX_TEXT = 16384 }; /* characters: core.event_value */

/* The record form of one value, a new reference; NULL with an error where it is refused. */
PyObject *rows_converted(int kind, PyObject *value, PyObject *convert);

/* A number's column; NULL and None are missing. 0, or -1 with an error. */
int rows_plain_column(PyObject *value, double *x);

/* A category's column by its table of codes; as rows_plain_column. */
int rows_coded_column(PyObject *value, PyObject *codes, PyObject *unseen, double *x);

/* The columns of a field that Python computes; as rows_plain_column. */
int rows_called_columns(PyObject *value, PyObject *part, double *x, Py_ssize_t width);

/* How many columns fields of these parts and widths have; -1 with an error where they fit nothing. */
Py_ssize_t rows_n_columns(PyObject *parts, const char *widths, Py_ssize_t n);

/* plan(...) of _plain_plan.c, read(...) of _plain.c */
PyObject *rows_plan(PyObject *module, PyObject *args);
PyObject *rows_read(PyObject *module, PyObject *args);

#endif
