/* The plan of a schema by which _plain.c reads: keys, fields and columns, checked once. */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include "_plain.h"

static void free_plan(Plan *plan) {
    Py_XDECREF(plan->held);
    PyMem_Free(plan->fields);
    PyMem_Free(plan->nodes);
    PyMem_Free(plan->entries);
    PyMem_Free(plan->columns);
    PyMem_Free(plan);
}

static void close_plan(PyObject *capsule) { free_plan(PyCapsule_GetPointer(capsule, PLAIN_PLAN)); }

int plain_refuse(const char *expected) {
    PyErr_SetString(PyExc_ValueError, expected);
    return -1;
}

void *plain_zeros(Py_ssize_t n, size_t size) {
    void *found = PyMem_Calloc((size_t)n + 1, size);
    if (found == NULL) PyErr_NoMemory();
    return found;
}

static int plan_fields(Plan *plan, PyObject *fields) {
    plan->n_fields = PyTuple_Size(fields);
    plan->fields = plain_zeros(plan->n_fields, sizeof(Field));
    if (plan->fields == NULL) return -1;
    for (Py_ssize_t i = 0; i < plan->n_fields; i++) {
        Field *field = plan->fields + i;
        if (!PyArg_ParseTuple(PyTuple_GetItem(fields, i), "SiO;a field", &field->name, &field->kind,
                              &field->convert))
            return -1;
    }
    return 0;
}

static int plan_entry(Plan *plan, Entry *entry, PyObject *pair, Py_ssize_t node) {
    char *key;
    PyObject *bytes;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(pair, "Sn;a key", &bytes, &entry->target) ||
        PyBytes_AsStringAndSize(bytes, &key, &length) < 0)
        return -1;
    entry->key = key;
    entry->length = (size_t)length;
    if (entry->target >= plan->n_fields ||
        (entry->target < 0 && (~entry->target <= node || ~entry->target >= plan->n_nodes)))
        return plain_refuse("expected a key of a field or of an object that comes later");
    return 0;
}

static int plan_nodes(Plan *plan, PyObject *nodes) {
    Py_ssize_t total = 0;
    plan->n_nodes = PyTuple_Size(nodes);
    for (Py_ssize_t i = 0; i < plan->n_nodes; i++) {
        PyObject *keys = PyTuple_GetItem(nodes, i);
        if (!PyTuple_Check(keys)) return plain_refuse("expected the keys of each object");
        total += PyTuple_Size(keys);
    }
    plan->nodes = plain_zeros(plan->n_nodes, sizeof(Node));
    plan->entries = plain_zeros(total, sizeof(Entry));
    if (plan->nodes == NULL || plan->entries == NULL) return -1;
    if (plan->n_nodes == 0) return plain_refuse("expected an object");
    Entry *next = plan->entries;
    for (Py_ssize_t i = 0; i < plan->n_nodes; i++) {
        PyObject *keys = PyTuple_GetItem(nodes, i);
        Node *node = plan->nodes + i;
        node->entries = next;
        node->n = PyTuple_Size(keys);
        for (Py_ssize_t k = 0; k < node->n; k++, next++) {
            if (plan_entry(plan, next, PyTuple_GetItem(keys, k), i)) return -1;
            if (k && plain_compare(next - 1, next->key, next->length) >= 0)
                return plain_refuse("expected keys in the order of their bytes, each once");
            next->next = k + 1 < node->n ? k + 1 : 0;
        }
    }
    return 0;
}

static int plan_columns(Plan *plan, PyObject *columns) {
    plan->n_columns = PyTuple_Size(columns);
    plan->columns = plain_zeros(plan->n_columns, sizeof(Column));
    if (plan->columns == NULL) return -1;
    for (Py_ssize_t i = 0; i < plan->n_columns; i++) {
        Column *column = plan->columns + i;
        if (!PyArg_ParseTuple(PyTuple_GetItem(columns, i), "nOn;a column", &column->field,
                              &column->part, &column->width))
            return -1;
        int is_pair = PyTuple_Check(column->part);
        if (column->field < 0 || column->field >= plan->n_fields || column->width < 1 ||
            column->width > 255 || ((column->part == Py_None || is_pair) && column->width != 1) ||
            (is_pair && (PyTuple_Size(column->part) != 2 ||
                         !PyDict_Check(PyTuple_GetItem(column->part, 0)) ||
                         !PyFloat_Check(PyTuple_GetItem(column->part, 1)))))
            return plain_refuse("expected a field, a part and a width of each column");
        plan->d += column->width;
    }
    return 0;
}

/* plan(fields, objects, columns, encode, id, time) -> what read takes.
 *
 * fields: (`"name":`, kind, converter) each, in the order of a record; objects: (key, field or ~object)
 * each, the first is the whole; columns: (field, part, width); the fields of id and time or -1. */
PyObject *rows_plan(PyObject *module, PyObject *args) {
    PyObject *fields, *nodes, *columns;
    (void)module;
    Plan *plan = PyMem_Calloc(1, sizeof(Plan));
    if (plan == NULL) return PyErr_NoMemory();
    if (!PyArg_ParseTuple(args, "O!O!O!Onn:plan", &PyTuple_Type, &fields, &PyTuple_Type, &nodes,
                          &PyTuple_Type, &columns, &plan->encode, &plan->id, &plan->time) ||
        plan_fields(plan, fields) || plan_nodes(plan, nodes) || plan_columns(plan, columns) ||
        ((plan->id < -1 || plan->id >= plan->n_fields || plan->time < -1 ||
          plan->time >= plan->n_fields) &&
         plain_refuse("expected the fields of id and time"))) {
        free_plan(plan);
        return NULL;
    }
    Py_INCREF(args);
    plan->held = args;
    PyObject *capsule = PyCapsule_New(plan, PLAIN_PLAN, close_plan);
    if (capsule == NULL) free_plan(plan);
    return capsule;
}
