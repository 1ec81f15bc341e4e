/* Plain objects straight to what is recorded and scored: JSON texts in, each record's JSON and row of
 * columns out, without a Python object for most values. core/plain_rows.py says what is plain; all
 * else is left to core/quick_rows.py and core/event_rows.py, which are the rule.
 *
 * A number of at most fifteen digits has one shortest decimal, which is what it is written as without
 * the zeros at its end; any other is written by the encoder that the plan was given.
 *
 * Sources: RFC 8259; Clinger, How to read floating point numbers accurately (1990): a whole number
 * below 2**53 over a power of ten up to 10**22 is rounded once.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include "_plain.h"

#include "_text.h"

enum { MOST_DIGITS = 15, MOST_WHOLE_DIGITS = 18, MOST_NUMBER = 64 };
static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { MOST_PLACES = 22 };

/* --- a text --------------------------------------------------------------------------------------- */

/* What a field was given as. */
enum { ABSENT, DECIMAL, WHOLE, LETTERS, OBJECT };

typedef struct {
    int state;
    int negative;         /* of DECIMAL, whose text has no sign */
    const char *from;     /* DECIMAL: its digits; LETTERS: between the quotes */
    size_t length;
    double x;             /* of DECIMAL and WHOLE */
    int64_t whole;        /* of WHOLE */
    PyObject *object;     /* LETTERS, once it is wanted, or OBJECT: owned */
} Given;

typedef struct {
    const char *at, *end;
    Plan *plan;
    Given *given;
    char *seen; /* which fields and, behind them, objects were named */
} Reading;

/* Every function that reads returns 0, 1 where the text is not plain, -1 with an error. */
enum { ODD = 1 };

static void skip(Reading *reading) {
    while (reading->at < reading->end && (*reading->at == ' ' || *reading->at == '\n' ||
                                          *reading->at == '\t' || *reading->at == '\r'))
        reading->at++;
}

/* Whether the next byte is this one; it is passed over. */
static int comes(Reading *reading, char byte) {
    skip(reading);
    if (reading->at == reading->end || *reading->at != byte) return 0;
    reading->at++;
    return 1;
}

static int is_digit(const Reading *reading) {
    return reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9';
}

/* A string without escapes, after its quote; whether it is ASCII. */
static int read_letters(Reading *reading, const char **from, size_t *length, int *ascii) {
    const char *at = reading->at, *end = reading->end;
    unsigned char all = 0;
    for (; at < end && *at != '"'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x20 || byte == '\\') return ODD;
        all |= byte;
    }
    if (at == end) return ODD;
    *from = reading->at;
    *length = (size_t)(at - reading->at);
    *ascii = all < 0x80;
    reading->at = at + 1;
    return 0;
}

static int keep_letters(Given *given, const char *from, size_t length) {
    given->object = PyUnicode_DecodeUTF8(from, (Py_ssize_t)length, "strict");
    if (given->object != NULL) return 0;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return -1;
    PyErr_Clear();
    return ODD;
}

/* A value that only its converter knows; takes the reference. */
static int convert(Given *given, const Field *field, PyObject *value) {
    if (value == NULL) return -1;
    PyObject *found = rows_converted(field->kind & ~REQUIRED, value, field->convert);
    Py_DECREF(value);
    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
        PyErr_Clear();
        return ODD; /* the rule says what is wrong with it */
    }
    given->state = found == Py_None ? ABSENT : OBJECT;
    if (found == Py_None)
        Py_DECREF(found);
    else
        given->object = found;
    return 0;
}

static int read_string(Reading *reading, Given *given, const Field *field) {
    int ascii, kind = field->kind & ~REQUIRED, odd;
    reading->at++;
    odd = read_letters(reading, &given->from, &given->length, &ascii);
    if (odd || kind == IGNORED) return odd;
    if (kind == CATEGORY || kind == TEXT) {
        if (given->length > (kind == CATEGORY ? MAX_CATEGORY : MAX_TEXT)) return ODD;
        if (given->length == 0) return 0; /* empty text is missing */
        if (!ascii && (odd = keep_letters(given, given->from, given->length))) return odd;
        given->state = LETTERS;
        return 0;
    }
    odd = keep_letters(given, given->from, given->length);
    PyObject *value = given->object;
    given->object = NULL;
    return odd ? odd : convert(given, field, value);
}

/* The token of a number, by RFC 8259's grammar. */
typedef struct {
    const char *from, *end, *first; /* `first` digit */
    size_t n_digits, n_places;      /* digits without leading zeros; those behind the point */
    uint64_t digits;                /* their value, where they are few */
    int negative, is_whole;         /* neither point nor exponent */
} Token;

static int read_token(Reading *reading, Token *token) {
    memset(token, 0, sizeof *token);
    token->from = reading->at;
    token->is_whole = 1;
    if (*reading->at == '-') {
        token->negative = 1;
        reading->at++;
    }
    token->first = reading->at;
    if (!is_digit(reading)) return ODD;
    int is_zero = *reading->at == '0';
    for (; is_digit(reading); reading->at++) {
        if (token->n_digits <= MOST_WHOLE_DIGITS)
            token->digits = 10 * token->digits + (uint64_t)(*reading->at - '0');
        token->n_digits += token->digits != 0;
    }
    if (is_zero && reading->at - token->first > 1) return ODD;
    if (reading->at < reading->end && *reading->at == '.') {
        token->is_whole = 0;
        const char *point = reading->at++;
        for (; is_digit(reading); reading->at++) {
            if (token->n_digits <= MOST_WHOLE_DIGITS)
                token->digits = 10 * token->digits + (uint64_t)(*reading->at - '0');
            token->n_digits += token->digits != 0;
        }
        token->n_places = (size_t)(reading->at - point - 1);
        if (token->n_places == 0) return ODD;
    }
    token->end = reading->at;
    if (reading->at < reading->end && (*reading->at == 'e' || *reading->at == 'E')) {
        token->is_whole = 0;
        token->n_digits = MOST_NUMBER; /* never few */
        reading->at++;
        if (reading->at < reading->end && (*reading->at == '+' || *reading->at == '-')) reading->at++;
        if (!is_digit(reading)) return ODD;
        while (is_digit(reading)) reading->at++;
        token->end = reading->at;
    }
    return 0;
}

static void keep_whole(Given *given, int64_t whole) {
    given->state = WHOLE;
    given->whole = whole;
    given->x = (double)whole;
}

/* A double of any spelling, as Python reads it. */
static int read_double(const Token *token, double *x) {
    char text[MOST_NUMBER + 1];
    size_t length = (size_t)(token->end - token->from);
    if (length > MOST_NUMBER) return ODD;
    memcpy(text, token->from, length);
    text[length] = 0;
    *x = PyOS_string_to_double(text, NULL, NULL);
    if (*x == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return ODD;
    }
    return 0;
}

/* A number of a few digits behind a point, which is not whole: as it is, without zeros at its end. */
static void keep_decimal(Given *given, const Token *token, double x) {
    const char *end = token->end;
    while (end[-1] == '0') end--;
    given->state = DECIMAL;
    given->negative = token->negative;
    given->from = token->first;
    given->length = (size_t)(end - token->first);
    given->x = token->negative ? -x : x;
}

static int keep_number(Given *given, const Field *field, const Token *token) {
    int kind = field->kind & ~REQUIRED;
    if (token->is_whole && token->n_digits <= MOST_WHOLE_DIGITS) {
        if (token->digits > (uint64_t)MAX_EXACT) return ODD;
        keep_whole(given, token->negative ? -(int64_t)token->digits : (int64_t)token->digits);
        return 0;
    }
    if (token->is_whole) return ODD;
    double x;
    int is_few = token->n_digits <= MOST_DIGITS && token->n_places <= MOST_PLACES;
    if (is_few)
        x = (double)token->digits / TENS[token->n_places];
    else if (read_double(token, &x))
        return ODD;
    if (!(fabs(x) <= (double)MAX_EXACT)) return ODD;
    if (x == (double)(int64_t)x) {
        keep_whole(given, is_few && token->negative ? -(int64_t)x : (int64_t)x);
        return 0;
    }
    if (kind == INTEGER) return ODD;
    if (is_few && x >= 1e-4) {
        keep_decimal(given, token, x);
        return 0;
    }
    given->object = PyFloat_FromDouble(is_few && token->negative ? -x : x);
    given->state = OBJECT;
    return given->object == NULL ? -1 : 0;
}

static int read_number(Reading *reading, Given *given, const Field *field) {
    Token token;
    int kind = field->kind & ~REQUIRED;
    if (read_token(reading, &token)) return ODD;
    if (kind == NUMBER || kind == INTEGER) return keep_number(given, field, &token);
    if (kind == IGNORED) return 0;
    if (token.is_whole) {
        if (token.n_digits > MOST_WHOLE_DIGITS) return ODD;
        int64_t whole = token.negative ? -(int64_t)token.digits : (int64_t)token.digits;
        return convert(given, field, PyLong_FromLongLong(whole));
    }
    double x;
    if (read_double(&token, &x)) return ODD;
    return convert(given, field, PyFloat_FromDouble(x));
}

/* One of JSON's three words. */
static int is_word(Reading *reading, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(reading->end - reading->at) < n || memcmp(reading->at, word, n)) return 0;
    reading->at += n;
    return 1;
}

static int read_truth(Given *given, const Field *field, PyObject *truth) {
    if ((field->kind & ~REQUIRED) == IGNORED) return 0;
    Py_INCREF(truth);
    return convert(given, field, truth);
}

static int read_value(Reading *reading, Given *given, const Field *field) {
    int odd = ODD;
    if (*reading->at == '"')
        odd = read_string(reading, given, field);
    else if (*reading->at == '-' || is_digit(reading))
        odd = read_number(reading, given, field);
    else if (is_word(reading, "null"))
        odd = 0;
    else if (is_word(reading, "true"))
        odd = read_truth(given, field, Py_True);
    else if (is_word(reading, "false"))
        odd = read_truth(given, field, Py_False);
    if (odd == 0 && given->state == ABSENT && field->kind & REQUIRED) odd = ODD;
    return odd;
}

/* The entry of a key, or NULL; `expected` is the one that came next last time, and learns. */
static const Entry *entry_of(const Node *node, const char *key, size_t length, Py_ssize_t *expected) {
    if (*expected < node->n && plain_compare(node->entries + *expected, key, length) == 0)
        return node->entries + *expected;
    Py_ssize_t low = 0, high = node->n;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        int found = plain_compare(node->entries + middle, key, length);
        if (found == 0) {
            *expected = middle;
            return node->entries + middle;
        }
        if (found < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* An object, after its brace; objects within it are no deeper than the plan's. */
static int read_object(Reading *reading, Py_ssize_t number) {
    Plan *plan = reading->plan;
    Node *node = plan->nodes + number;
    Py_ssize_t *expected = &node->first;
    if (comes(reading, '}')) return 0;
    do {
        const char *key;
        size_t length;
        int ascii;
        if (!comes(reading, '"') || read_letters(reading, &key, &length, &ascii)) return ODD;
        const Entry *entry = entry_of(node, key, length, expected);
        if (entry == NULL || !comes(reading, ':')) return ODD;
        expected = &node->entries[entry - node->entries].next;
        skip(reading);
        if (reading->at == reading->end) return ODD;
        Py_ssize_t target = entry->target;
        char *seen = reading->seen + (target < 0 ? plan->n_fields + ~target : target);
        if (*seen) return ODD; /* a key that is given twice */
        *seen = 1;
        int odd;
        if (target >= 0)
            odd = read_value(reading, reading->given + target, plan->fields + target);
        else if (is_word(reading, "null"))
            odd = 0;
        else
            odd = comes(reading, '{') ? read_object(reading, ~target) : ODD;
        if (odd) return odd;
    } while (comes(reading, ','));
    return comes(reading, '}') ? 0 : ODD;
}

static int read_text(Reading *reading, const char *text, Py_ssize_t length) {
    Plan *plan = reading->plan;
    reading->at = text;
    reading->end = text + length;
    memset(reading->given, 0, (size_t)plan->n_fields * sizeof(Given));
    memset(reading->seen, 0, (size_t)(plan->n_fields + plan->n_nodes));
    if (!comes(reading, '{')) return ODD;
    int odd = read_object(reading, 0);
    skip(reading);
    if (odd == 0 && reading->at != reading->end) odd = ODD;
    for (Py_ssize_t i = 0; odd == 0 && i < plan->n_fields; i++)
        if (plan->fields[i].kind & REQUIRED && reading->given[i].state == ABSENT) odd = ODD;
    return odd;
}

static void forget(Reading *reading) {
    for (Py_ssize_t i = 0; i < reading->plan->n_fields; i++) {
        PyObject *object = reading->given[i].object;
        reading->given[i].object = NULL;
        Py_XDECREF(object);
    }
}

/* --- what becomes of it ----------------------------------------------------------------------------- */

/* What the encoder writes of a value. */
static int add_encoded(Text *text, const Plan *plan, PyObject *value) {
    PyObject *bytes = PyObject_CallFunctionObjArgs(plan->encode, value, NULL);
    int failed = bytes == NULL || add_bytes(text, bytes);
    Py_XDECREF(bytes);
    return failed ? -1 : 0;
}

static int add_decimal(Text *text, const Given *given) {
    return (given->negative && ADD(text, "-")) || add(text, given->from, given->length) ? -1 : 0;
}

static int add_given(Text *text, const Plan *plan, const Given *given) {
    switch (given->state) {
    case DECIMAL:
        return add_decimal(text, given);
    case WHOLE:
        return add_int64(text, given->whole);
    case LETTERS:
        return ADD(text, "\"") || add(text, given->from, given->length) || ADD(text, "\"") ? -1 : 0;
    default:
        return add_encoded(text, plan, given->object);
    }
}

/* A record's JSON. */
static PyObject *event_of(const Reading *reading, Text *text) {
    const Plan *plan = reading->plan;
    text->length = 0;
    if (ADD(text, "{")) return NULL;
    for (Py_ssize_t i = 0; i < plan->n_fields; i++) {
        const Given *given = reading->given + i;
        if (given->state == ABSENT) continue;
        if ((text->length > 1 && ADD(text, ",")) || add_bytes(text, plan->fields[i].name) ||
            add_given(text, plan, given))
            return NULL;
    }
    if (ADD(text, "}")) return NULL;
    return PyBytes_FromStringAndSize(text->bytes, (Py_ssize_t)text->length);
}

/* A value as Python has it in a record, borrowed; NULL without an error where there is none. */
static PyObject *object_of(Given *given) {
    if (given->object == NULL) {
        if (given->state == WHOLE) given->object = PyLong_FromLongLong(given->whole);
        if (given->state == DECIMAL) given->object = PyFloat_FromDouble(given->x);
        if (given->state == LETTERS)
            given->object = PyUnicode_DecodeUTF8(given->from, (Py_ssize_t)given->length, "strict");
    }
    return given->object;
}

static int add_cell(Text *text, const Plan *plan, double x) {
    if (isnan(x)) return ADD(text, "null");
    if (fabs(x) < 1e15 && x == (double)(int64_t)x && (x != 0.0 || !signbit(x)))
        return add_int64(text, (int64_t)x) || ADD(text, ".0") ? -1 : 0;
    PyObject *value = PyFloat_FromDouble(x);
    int failed = value == NULL || add_encoded(text, plan, value);
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

/* The columns of a field, and their JSON, each with a comma before it. */
static int add_columns(Text *cells, const Plan *plan, const Column *column, Given *given, double *x) {
    if (column->part == Py_None && (given->state == DECIMAL || given->state == ABSENT)) {
        *x = given->state == ABSENT ? NAN : given->x;
        if (ADD(cells, ",")) return -1;
        return given->state == ABSENT ? ADD(cells, "null") : add_decimal(cells, given);
    }
    if (column->part == Py_None && given->state == WHOLE) {
        *x = given->x;
        return ADD(cells, ",") || add_int64(cells, given->whole) || ADD(cells, ".0") ? -1 : 0;
    }
    PyObject *value = object_of(given);
    if (value == NULL && PyErr_Occurred()) return -1;
    int failed = column->part == Py_None ? rows_plain_column(value, x)
                 : PyTuple_Check(column->part)
                     ? rows_coded_column(value, PyTuple_GetItem(column->part, 0),
                                         PyTuple_GetItem(column->part, 1), x)
                     : rows_called_columns(value, column->part, x, column->width);
    for (Py_ssize_t i = 0; !failed && i < column->width; i++)
        failed = ADD(cells, ",") || add_cell(cells, plan, x[i]);
    return failed ? -1 : 0;
}

/* Append a value of its own, or None, to a list. */
static int append_object(PyObject *list, Reading *reading, Py_ssize_t field) {
    PyObject *value = field < 0 ? NULL : object_of(reading->given + field);
    if (value == NULL && PyErr_Occurred()) return -1;
    return PyList_Append(list, value == NULL ? Py_None : value);
}

typedef struct {
    PyObject *which, *events, *ids, *times;
    Text text, cells;
    double *x;
} Found;

/* Everything of one text; ODD leaves nothing behind. */
static int take(Reading *reading, Found *found, Py_ssize_t number) {
    Plan *plan = reading->plan;
    size_t before = found->cells.length;
    double *x = found->x;
    for (Py_ssize_t i = 0; i < plan->n_columns; x += plan->columns[i++].width) {
        const Column *column = plan->columns + i;
        if (add_columns(&found->cells, plan, column, reading->given + column->field, x) == 0) continue;
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
        PyErr_Clear(); /* the rule says what is wrong with it */
        found->cells.length = before;
        return ODD;
    }
    PyObject *event = event_of(reading, &found->text), *place = PyLong_FromSsize_t(number);
    int failed = event == NULL || place == NULL || PyList_Append(found->which, place) ||
                 PyList_Append(found->events, event) ||
                 append_object(found->ids, reading, plan->id) ||
                 append_object(found->times, reading, plan->time);
    Py_XDECREF(event);
    Py_XDECREF(place);
    found->x = x;
    return failed ? -1 : 0;
}

static int read_one(Reading *reading, Found *found, PyObject *texts, Py_ssize_t i) {
    char *text;
    Py_ssize_t length;
    PyObject *body = PyList_GetItem(texts, i); /* converters are Python, and might change the list */
    if (body == NULL || PyBytes_AsStringAndSize(body, &text, &length) < 0) return -1;
    Py_INCREF(body);
    int odd = read_text(reading, text, length);
    if (odd == 0) odd = take(reading, found, i);
    forget(reading);
    Py_DECREF(body);
    return odd < 0 ? -1 : 0;
}

static PyObject *told(Found *found) {
    if (found->cells.length) found->cells.bytes[0] = '[';
    if (found->cells.length == 0 && ADD(&found->cells, "[")) return NULL;
    if (ADD(&found->cells, "]")) return NULL;
    PyObject *cells =
        PyBytes_FromStringAndSize(found->cells.bytes, (Py_ssize_t)found->cells.length);
    if (cells == NULL) return NULL;
    PyObject *all = PyTuple_Pack(5, found->which, found->events, found->ids, found->times, cells);
    Py_DECREF(cells);
    return all;
}

/* read(plan, texts, columns) -> (which of the texts are plain, their records' JSON, their ids and times
 * or None, the cells of their columns as one JSON array); columns is a writable (n, d) buffer of
 * doubles, whose first rows become those of the plain ones. */
PyObject *rows_read(PyObject *module, PyObject *args) {
    PyObject *capsule, *texts, *out, *all = NULL;
    Py_buffer buffer;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO!O:read", &capsule, &PyList_Type, &texts, &out)) return NULL;
    Plan *plan = PyCapsule_GetPointer(capsule, PLAIN_PLAN);
    if (plan == NULL || PyObject_GetBuffer(out, &buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
        return NULL;
    Py_ssize_t n = PyList_Size(texts);
    Reading reading = {NULL, NULL, plan, plain_zeros(plan->n_fields, sizeof(Given)),
                       plain_zeros(plan->n_fields + plan->n_nodes, 1)};
    Found found = {PyList_New(0), PyList_New(0), PyList_New(0), PyList_New(0),
                   {NULL, 0, 0}, {NULL, 0, 0}, buffer.buf};
    int failed = reading.given == NULL || reading.seen == NULL || found.which == NULL ||
                 found.events == NULL || found.ids == NULL || found.times == NULL;
    if (!failed && (plan->d == 0 || n > PY_SSIZE_T_MAX / plan->d / (Py_ssize_t)sizeof(double) ||
                    buffer.len != n * plan->d * (Py_ssize_t)sizeof(double)))
        failed = plain_refuse("expected room for all rows and columns");
    for (Py_ssize_t i = 0; !failed && i < n; i++) failed = read_one(&reading, &found, texts, i);
    if (!failed) all = told(&found);
    PyMem_Free(reading.given);
    PyMem_Free(reading.seen);
    PyMem_Free(found.text.bytes);
    PyMem_Free(found.cells.bytes);
    Py_XDECREF(found.which);
    Py_XDECREF(found.events);
    Py_XDECREF(found.ids);
    Py_XDECREF(found.times);
    PyBuffer_Release(&buffer);
    return all;
}
