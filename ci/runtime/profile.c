/* Linked into the program that is trained (train.sh): writes the counters of -fprofile-generate into PROFILE_DIRECTORY when the
 * process ends, _exit() included. It is what compiler-rt would do, which zig's compiler comes without.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char __start___llvm_prf_cnts[], __stop___llvm_prf_cnts[];

void __real__exit(int status) __attribute__((noreturn));

static void write_counters(void)
{
    const char *directory = getenv("PROFILE_DIRECTORY");
    char path[4096];
    if (!directory)
        return;
    snprintf(path, sizeof path, "%s/%d", directory, (int)getpid());
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (fd < 0 || write(fd, __start___llvm_prf_cnts, __stop___llvm_prf_cnts - __start___llvm_prf_cnts) < 0)
        perror(path);
    close(fd);
}

__attribute__((destructor)) static void at_exit(void)
{
    write_counters();
}

void __wrap__exit(int status)
{
    write_counters();
    __real__exit(status);
}
