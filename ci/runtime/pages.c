/* The module _pages, for a daemon that waits more than it works.
 *
 * release() gives back what starting up took and waiting does not: pages of the program and its libraries that are as they are in
 * the file (whatever is needed again comes from the page cache), and free memory at the end of the heap.
 */
#define _GNU_SOURCE
#include <Python.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

static int drop(struct dl_phdr_info *object, size_t size, void *page_size)
{
    (void)size;
    uintptr_t page = *(uintptr_t *)page_size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W)
            continue;
        uintptr_t first = object->dlpi_addr + part->p_vaddr, last = first + part->p_memsz;
        first = (first + page - 1) & ~(page - 1);
        last &= ~(page - 1);
        if (first < last)
            madvise((void *)first, last - first, MADV_DONTNEED); /* a kernel that won't does no harm */
    }
    return 0;
}

static PyObject *release(PyObject *module, PyObject *none)
{
    (void)module;
    (void)none;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(drop, &page);
    malloc_trim(0);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"release", release, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_pages", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__pages(void)
{
    return PyModuleDef_Init(&definition);
}
