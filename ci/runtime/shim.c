/* Linked with PyInstaller's unmodified bootloader, between it and libc, by ld --wrap. PyInstaller's "onedir" program opens
 * libpython in a directory beside itself, and finds it by setting LD_LIBRARY_PATH and starting itself again. Here:
 *
 * - libpython is part of this executable, so dlopen() and dlsym() of it look into a table, in which one function is ours (early.c),
 *   and the program loads nothing else;
 * - the bootloader is told that it has been restarted already, which saves the second exec;
 * - of the environment it sees PATH alone, and writes nothing there: nobody can steer it by _PYI_*, and children get what we got;
 * - sys._MEIPASS, where Python looks for modules, is a name below a regular file, so nothing can ever lie there;
 * - all threads share one heap. By default each of 36 threads has its own, and keeps what it once needed: 280 MB after a few
 *   large events. One heap costs no time, since Python runs one thread at a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "pyi_global.h"
#include "pyi_main.h"

/* python-functions.h holds X(name) for each function that the bootloader asks for; bootloader.sh makes it. */
#define X(name) extern char name[];
#include "python-functions.h"
#undef X
#define X(name) {#name, name},
static const struct {
    const char *name;
    void *function;
} python_functions[] = {
#include "python-functions.h"
};
#undef X

__attribute__((constructor)) static void share_heap(void)
{
    mallopt(M_ARENA_MAX, 1);
}

static char libpython; /* its address is our handle */
extern char early_Py_InitializeFromConfig[];

/* Until 2.34 glibc has these in libraries of their own, libdl and libutil. To bind a library costs every pd-send two thirds of a
 * hundredth, so they are here. They are hidden, since libc's own plug-ins (NSS) must get the real ones. */
#pragma GCC visibility push(hidden)

void *dlopen(const char *path, int flags)
{
    (void)flags;
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash && strncmp(slash, "/libpython", 10) == 0 ? &libpython : NULL;
}

void *dlsym(void *handle, const char *name)
{
    (void)handle;
    if (strcmp(name, "Py_InitializeFromConfig") == 0)
        return early_Py_InitializeFromConfig;
    for (size_t i = 0; i < sizeof python_functions / sizeof *python_functions; i++)
        if (strcmp(python_functions[i].name, name) == 0)
            return python_functions[i].function;
    return NULL;
}

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

char *dlerror(void)
{
    return "this program loads no libraries";
}

static int no_terminal(void)
{
    errno = ENOSYS;
    return -1;
}

/* Python offers them; the agent does not use them. */
int openpty(void) { return no_terminal(); }
int forkpty(void) { return no_terminal(); }
int login_tty(void) { return no_terminal(); }

#pragma GCC visibility pop

char *__real_pyi_getenv(const char *name);
int __real_pyi_setenv(const char *name, const char *value);
int __real_pyi_unsetenv(const char *name);
char *__real_pyi_path_join(char *result, const char *directory, const char *name);

/* ld says nothing when a wrapped symbol does not exist; with these, it does: a PyInstaller that renames one fails to link. */
__attribute__((used)) static void *const must_exist[] = {(void *)__real_pyi_setenv, (void *)__real_pyi_unsetenv};

char *__wrap_pyi_getenv(const char *name)
{
    if (strcmp(name, "_PYI_ARCHIVE_FILE") == 0)
        return strdup(global_pyi_ctx->archive_filename);
    if (strcmp(name, "_PYI_PARENT_PROCESS_LEVEL") == 0)
        return strdup("-1"); /* PYI_PROCESS_LEVEL_PARENT_NEEDS_RESTART: our "parent" has set up the environment */
    return strcmp(name, "PATH") == 0 ? __real_pyi_getenv(name) : NULL;
}

int __wrap_pyi_setenv(const char *name, const char *value)
{
    (void)name;
    (void)value;
    return 0;
}

int __wrap_pyi_unsetenv(const char *name)
{
    (void)name;
    return 0;
}

char *__wrap_pyi_path_join(char *result, const char *directory, const char *name)
{
    if (result != global_pyi_ctx->application_home_dir)
        return __real_pyi_path_join(result, directory, name);
    int length = snprintf(result, PYI_PATH_MAX, "%s/%s", global_pyi_ctx->executable_filename, name);
    return length < PYI_PATH_MAX ? result : NULL;
}

/* Since 2.14 glibc has two: the old memcpy, which is its memmove, and a new one that old hosts do not have. Without
 * the attribute the compiler sees that this is memcpy, and makes it call itself. */
__attribute__((no_builtin)) void *memcpy(void *target, const void *source, size_t size)
{
    return memmove(target, source, size);
}
