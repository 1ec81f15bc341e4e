/* The sealed program's kernel: the Python module, over the files that _kernel.h names. */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include "_kernel.h"

#define CAPSULE "baluarte.core.program._kernel.program"
#define MAX_ARRAYS 32
#define MAX_NESTING 3 /* stacks in one another */
#define ROWS_A_THREAD 64 /* fewer are not worth a thread */
#define COST_WITH_GIL 16384 /* so little is done before another thread could take over */

static PyObject *raise(Fault fault) {
    if (fault == NO_MEMORY) return PyErr_NoMemory();
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, fault);
    return NULL;
}

typedef struct {
    Py_buffer views[MAX_ARRAYS];
    Array arrays[MAX_ARRAYS];
    size_t count;
} Lent;

static void release(Lent *lent) {
    while (lent->count) PyBuffer_Release(lent->views + --lent->count);
}

/* The buffers of a tuple from item `first` up to `end`; -1 with an exception where they are not all
 * some. */
static int take_views(PyObject *tuple, Py_ssize_t first, Py_ssize_t end, Lent *lent) {
    lent->count = 0;
    if (end < first || end - first > MAX_ARRAYS) {
        raise("expected a tuple of arrays a part");
        return -1;
    }
    for (Py_ssize_t k = first; k < end; k++) {
        Py_buffer *view = lent->views + lent->count;
        if (PyObject_GetBuffer(PyTuple_GetItem(tuple, k), view, PyBUF_C_CONTIGUOUS)) {
            release(lent);
            return -1;
        }
        lent->arrays[lent->count++] =
            (Array){.items = view->buf, .size = (size_t)view->itemsize, .bytes = (size_t)view->len};
    }
    return 0;
}

static void capsule_free(PyObject *capsule) {
    program_free(PyCapsule_GetPointer(capsule, CAPSULE));
}

static Program *build(long long n_features, long long base, PyObject *parts, int nesting);

/* The stack's members: a tuple of (base, parts). */
static int read_members(Program *program, size_t at, PyObject *members, int nesting) {
    uint32_t n_members = program->parts[at].dense.n_members;
    if (!PyTuple_Check(members) || PyTuple_Size(members) != (Py_ssize_t)n_members || !nesting) {
        raise("expected a stack's members, nested no deeper than stacks may be");
        return -1;
    }
    for (uint32_t m = 0; m < n_members; m++) {
        PyObject *tuple = PyTuple_GetItem(members, (Py_ssize_t)m), *parts;
        long long base;
        if (!PyTuple_Check(tuple) || !PyArg_ParseTuple(tuple, "LO!", &base, &PyTuple_Type, &parts)) {
            raise("expected a base and parts a member");
            return -1;
        }
        Program *member = build((long long)program->n_features, base, parts, nesting - 1);
        if (!member) return -1;
        Fault fault = program_join(program, at, m, member);
        if (fault) {
            raise(fault);
            return -1;
        }
    }
    return 0;
}

static int read_part(Program *program, size_t at, PyObject *tuple, int nesting) {
    Lent lent;
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) < 1) {
        raise("expected a kind and its arrays a part");
        return -1;
    }
    long long kind = PyLong_AsLongLong(PyTuple_GetItem(tuple, 0));
    if (PyErr_Occurred()) return -1;
    Py_ssize_t end = PyTuple_Size(tuple) - (kind == STACK);
    PyObject *members = kind == STACK ? PyTuple_GetItem(tuple, end) : NULL;
    if (take_views(tuple, 1, end, &lent)) return -1;
    Fault fault = program_read(program, at, kind, lent.arrays, lent.count);
    release(&lent);
    if (fault) raise(fault);
    return fault ? -1 : members ? read_members(program, at, members, nesting) : 0;
}

static Program *build(long long n_features, long long base, PyObject *parts, int nesting) {
    Fault fault;
    size_t n_parts = (size_t)PyTuple_Size(parts);
    Program *program = program_new(n_features, base, n_parts, &fault);
    if (!program) raise(fault);
    for (size_t p = 0; program && p < n_parts; p++)
        if (read_part(program, p, PyTuple_GetItem(parts, (Py_ssize_t)p), nesting)) {
            program_free(program);
            return NULL;
        }
    return program;
}

PyDoc_STRVAR(prepare_doc,
             "prepare(n_features, base, parts) -> handle\n\n"
             "Pack checked arrays for evaluation, (kind, array, ...) a part, and of a stack a tuple\n"
             "of its members' (base, parts); ValueError where memory safety or termination would\n"
             "not hold.");

static PyObject *prepare(PyObject *module, PyObject *args) {
    (void)module;
    long long n_features, base;
    PyObject *parts;
    if (!PyArg_ParseTuple(args, "LLO!", &n_features, &base, &PyTuple_Type, &parts)) return NULL;
    Program *program = build(n_features, base, parts, MAX_NESTING);
    if (!program) return NULL;
    PyObject *capsule = PyCapsule_New(program, CAPSULE, capsule_free);
    if (!capsule) program_free(program);
    return capsule;
}

static Fault plan_parts(Program *program, PyObject *parts) {
    for (size_t p = 0; p < program->n_parts; p++) {
        Part *part = program->parts + p;
        PyObject *tuple = PyTuple_GetItem(parts, (Py_ssize_t)p);
        Lent lent;
        if (part->kind == LINEAR) continue;
        if (part->kind > LINEAR) return "reasons of such a part are estimated, not exact";
        if (take_views(tuple, 0, PyTuple_Check(tuple) ? PyTuple_Size(tuple) : -1, &lent)) return "";
        Fault fault = lent.count == PLAN_ARRAYS ? plan_trees(program, &part->trees, lent.arrays)
                                                : "expected four arrays a part of trees";
        release(&lent);
        if (fault) return fault;
    }
    return NULL;
}

PyDoc_STRVAR(plan_doc,
             "plan(handle, base, max_order, quadrature, parts) -> None\n\n"
             "Make a prepared program ready for reasons: their base, the quadrature nodes t, u =\n"
             "1 - t and weights w of orders 1..max_order one after another, and (before, share,\n"
             "merged, order) a part of trees, () a linear part.");

static PyObject *plan(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *capsule, *quadrature, *parts;
    long long base;
    unsigned int max_order;
    if (!PyArg_ParseTuple(args, "OLIO!O!", &capsule, &base, &max_order, &PyTuple_Type, &quadrature,
                          &PyTuple_Type, &parts))
        return NULL;
    Program *program = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!program) return NULL;
    if (program->planned) Py_RETURN_NONE;
    if (PyTuple_Size(quadrature) != 3 || (size_t)PyTuple_Size(parts) != program->n_parts)
        return raise("the plan does not belong to this program");
    Lent lent;
    if (take_views(quadrature, 0, 3, &lent)) return NULL;
    Fault fault = plan_program(program, base, max_order, lent.arrays);
    release(&lent);
    if (!fault) fault = plan_parts(program, parts);
    if (!fault) fault = plan_done(program);
    if (fault) return raise(fault);
    Py_RETURN_NONE;
}

static PyObject *evaluate(PyObject *args, Work *work, int for_reasons) {
    PyObject *capsule, *x_object, *out_object;
    Py_ssize_t threads;
    if (!PyArg_ParseTuple(args, "OOOn", &capsule, &x_object, &out_object, &threads)) return NULL;
    const Program *program = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!program) return NULL;
    if (for_reasons && !program->planned) return raise("the program has no plan for reasons");
    Py_buffer X, out;
    if (PyObject_GetBuffer(x_object, &X, PyBUF_C_CONTIGUOUS)) return NULL;
    if (PyObject_GetBuffer(out_object, &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
        PyBuffer_Release(&X);
        return NULL;
    }
    size_t d = program->n_features, width = for_reasons ? d : 1;
    size_t n = (size_t)X.len / sizeof(double) / d;
    if (X.itemsize != sizeof(double) || out.itemsize != sizeof(int64_t) ||
        (size_t)X.len != n * d * sizeof(double) ||
        (size_t)out.len != n * width * sizeof(int64_t) || threads < 1) {
        raise("expected (n, n_features) float64 rows, an int64 output and a thread");
    } else if (n) {
        size_t least = for_reasons ? 1 : ROWS_A_THREAD;
        int quick = !for_reasons && n <= COST_WITH_GIL / (program->cost + 1);
        PyThreadState *state = quick ? NULL : PyEval_SaveThread();
        int status = run(work, program, X.buf, n, out.buf, width, (size_t)threads, least);
        if (state) PyEval_RestoreThread(state);
        if (status == -1) PyErr_NoMemory();
        if (status == -2)
            PyErr_SetString(PyExc_RuntimeError,
                            "the floating-point environment can't be set to IEEE-754 defaults");
    }
    PyBuffer_Release(&X);
    PyBuffer_Release(&out);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(score_doc, "score(handle, X, out, threads) -> None\n\n"
                        "(n, n_features) float64 rows to (n,) int64 scores.");

static PyObject *score(PyObject *module, PyObject *args) {
    (void)module;
    return evaluate(args, score_rows, 0);
}

PyDoc_STRVAR(reasons_doc, "reasons(handle, X, out, threads) -> None\n\n"
                          "(n, n_features) float64 rows to (n, n_features) int64 reasons.");

static PyObject *reasons(PyObject *module, PyObject *args) {
    (void)module;
    return evaluate(args, reasons_rows, 1);
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_VARARGS, prepare_doc},
    {"plan", plan, METH_VARARGS, plan_doc},
    {"score", score, METH_VARARGS, score_doc},
    {"reasons", reasons, METH_VARARGS, reasons_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The sealed program's kernel: docs/concepts/program.md.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) {
    return PyModuleDef_Init(&definition);
}
