/* A plain pd-send, pd-nagios, pd-zabbix or pd-sensu ends before Python has quite started: in its core phase, which has no codecs,
 * no sys.path and no sys.stdout. Of that phase the last step is put off as well, importlib: here only what is built in is imported.
 *
 * The bootloader gets early_Py_InitializeFromConfig() in place of Py_InitializeFromConfig() (shim.c). It runs the archive's
 * module pdagent_hot between the two phases. What is plain ends the process there; whatever is not returns, and goes on as
 * if nothing had happened: pdagent_hot runs again, after the main phase, and sees that it has run.
 *
 * `_init_main`, `_install_importlib`, `_PyImport_InitCore`, `_Py_InitializeMain` and what is written into the interpreter's state are
 * private to CPython (3.13). Nothing else here knows of them. A CPython without them fails to compile this file; the agent
 * needs them for speed alone.
 */
#define Py_BUILD_CORE
#include <Python.h>
#include <marshal.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#include "internal/pycore_import.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_namespace.h"

#include "pyi_global.h"
#include "pyi_main.h"
#include "pyi_archive.h"

static const wchar_t *const early[] = {L"pd-send", L"pd-nagios", L"pd-zabbix", L"pd-sensu"};

static int has_quick_way(const PyConfig *config)
{
    if (config->argv.length == 0)
        return 0;
    const wchar_t *slash = wcsrchr(config->argv.items[0], L'/');
    const wchar_t *name = slash ? slash + 1 : config->argv.items[0];
    for (size_t i = 0; i < sizeof early / sizeof *early; i++)
        if (wcscmp(name, early[i]) == 0)
            return 1;
    return 0;
}

/* sys.argv, which Python itself sets in the main phase. */
static int set_argv(const PyWideStringList *arguments)
{
    PyObject *list = PyList_New(arguments->length);
    for (Py_ssize_t i = 0; list && i < arguments->length; i++) {
        PyObject *argument = PyUnicode_FromWideChar(arguments->items[i], -1);
        if (!argument) {
            Py_DECREF(list);
            return -1;
        }
        PyList_SET_ITEM(list, i, argument);
    }
    int set = list ? PySys_SetObject("argv", list) : -1;
    Py_XDECREF(list);
    return set;
}

/* The registry of codecs, without codecs. Python itself fills it in the main phase, over what is here, and until then follows null
 * pointers wherever a byte that is no UTF-8 makes it look for "strict". What is not here is a LookupError, as everywhere; the
 * rest of UTF-8's handlers (surrogateescape, surrogatepass) its codec has built in. */
#define HANDLER(name, function)                              \
    static PyObject *name(PyObject *module, PyObject *error) \
    {                                                        \
        (void)module;                                        \
        return function(error);                              \
    }
HANDLER(strict, PyCodec_StrictErrors)
HANDLER(ignore, PyCodec_IgnoreErrors)
HANDLER(replace, PyCodec_ReplaceErrors)
HANDLER(backslashreplace, PyCodec_BackslashReplaceErrors)

static int set_codecs(void)
{
    static PyMethodDef handlers[] = {
        {"strict", strict, METH_O, NULL},
        {"ignore", ignore, METH_O, NULL},
        {"replace", replace, METH_O, NULL},
        {"backslashreplace", backslashreplace, METH_O, NULL},
    };
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    interpreter->codecs.search_path = PyList_New(0);
    interpreter->codecs.search_cache = PyDict_New();
    interpreter->codecs.error_registry = PyDict_New();
    if (!interpreter->codecs.search_path || !interpreter->codecs.search_cache || !interpreter->codecs.error_registry)
        return -1;
    interpreter->codecs.initialized = 1;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        PyObject *handler = PyCFunction_New(&handlers[i], NULL);
        int set = handler ? PyDict_SetItemString(interpreter->codecs.error_registry, handlers[i].ml_name, handler) : -1;
        Py_XDECREF(handler);
        if (set < 0)
            return -1;
    }
    return 0;
}

/* The built-in modules that the quick way imports. What the import statement does not find in sys.modules, it asks importlib for by
 * _find_and_load(name, import). While there is no importlib, this answers. */
PyObject *PyInit__json(void), *PyInit_errno(void), *PyMarshal_Init(void), *PyInit_posix(void), *PyInit_time(void);

static PyObject *find_and_load(PyObject *module, PyObject *arguments)
{
    static const struct {
        const char *name;
        PyObject *(*definition)(void);
    } built_in[] = {
        {"_json", PyInit__json}, {"errno", PyInit_errno}, {"marshal", PyMarshal_Init},
        {"posix", PyInit_posix}, {"time", PyInit_time},
    };
    (void)module;
    const char *name;
    PyObject *import;
    if (!PyArg_ParseTuple(arguments, "sO", &name, &import))
        return NULL;
    size_t i = 0;
    while (i < sizeof built_in / sizeof *built_in && strcmp(built_in[i].name, name) != 0)
        i++;
    if (i == sizeof built_in / sizeof *built_in)
        return PyErr_Format(PyExc_ModuleNotFoundError, "%s is not built in", name);
    /* All that a module wants of its spec is a name. importlib gives each module the right one later. */
    PyObject *attributes = Py_BuildValue("{ss}", "name", name);
    PyObject *spec = attributes ? _PyNamespace_New(attributes) : NULL;
    PyModuleDef *definition = spec ? (PyModuleDef *)built_in[i].definition() : NULL; /* borrowed */
    PyObject *made = definition ? PyModule_FromDefAndSpec(definition, spec) : NULL;
    Py_XDECREF(attributes);
    Py_XDECREF(spec);
    if (made && (PyModule_ExecDef(made, definition) < 0 || PyDict_SetItemString(PyImport_GetModuleDict(), name, made) < 0))
        Py_CLEAR(made);
    return made;
}

static int set_importer(void)
{
    static PyMethodDef methods[] = {{"_find_and_load", find_and_load, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
    PyObject *importer = PyModule_New("importer");
    PyInterpreterState_Get()->imports.importlib = importer;
    return importer ? PyModule_AddFunctions(importer, methods) : -1;
}

/* Python's main phase fails on a stdin that is a directory. It takes one that is closed, and then main() opens what is closed. */
static void close_directory(void)
{
    struct stat found;
    if (fstat(STDIN_FILENO, &found) == 0 && S_ISDIR(found.st_mode))
        close(STDIN_FILENO);
}

/* What the core phase has left out, and then the main phase. */
static PyStatus go_on(void)
{
    close_directory();
    PyThreadState *thread = PyThreadState_Get();
    Py_CLEAR(thread->interp->imports.importlib);
    thread->interp->config._install_importlib = 1;
    PyStatus status = _PyImport_InitCore(thread, PyImport_AddModule("sys"), 1);
    return PyStatus_Exception(status) ? status : _Py_InitializeMain();
}

/* Returns if the command line is not plain, or on an error, which is then Python's own. */
static void run(const PyConfig *config)
{
    const struct ARCHIVE *archive = global_pyi_ctx->archive;
    const struct TOC_ENTRY *entry = pyi_archive_find_entry_by_name(archive, "pdagent_hot");
    unsigned char *data = entry ? pyi_archive_extract(archive, entry) : NULL;
    if (!data || set_importer() < 0 || set_codecs() < 0 || set_argv(&config->argv) < 0) {
        free(data);
        return;
    }
    PyObject *code = PyMarshal_ReadObjectFromString((const char *)data, entry->uncompressed_length);
    free(data);
    PyObject *module = code ? PyImport_AddModule("pdagent_hot") : NULL; /* borrowed */
    PyObject *names = module ? PyModule_GetDict(module) : NULL;         /* borrowed */
    if (names && PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0)
        Py_XDECREF(PyEval_EvalCode(code, names, names));
    Py_XDECREF(code);
}

PyStatus early_Py_InitializeFromConfig(const PyConfig *config)
{
    PyConfig *own = (PyConfig *)config; /* the bootloader's, which frees it after this */
    /* As Python has it from the main phase on: whoever does not read our receipt, or a file that may not grow, is an error that
     * is dealt with, and does not end the process. Python would take SIGINT as well, to raise an exception in the middle of its own
     * start, which is then a fatal error. So ^C ends the process, until main() is there to deal with it. */
    own->install_signal_handlers = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (!has_quick_way(config)) {
        close_directory();
        return Py_InitializeFromConfig(config);
    }
    own->_init_main = own->_install_importlib = 0;
    PyStatus status = Py_InitializeFromConfig(config);
    if (PyStatus_Exception(status))
        return status;
    run(config);
    PyErr_Clear(); /* a mistake of ours here must not cost a page: the complete way tells what is wrong */
    return go_on();
}
