/* FORTIFY's headers call these two functions. They came with glibc 2.15 and 2.16, and amd64's floor is 2.12; arm64's is newer.
 * Compiled into libpython, where whatever is linked with it finds them. */
#ifdef __x86_64__
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>

/* FD_SET and its like: where a descriptor stands in an fd_set, or the end of a program that would write past it. */
long __fdelt_chk(long descriptor)
{
    if (descriptor < 0 || descriptor >= FD_SETSIZE)
        abort();
    return descriptor / __NFDBITS;
}

/* poll() itself, whatever the headers make of that name. */
extern int checked_poll(struct pollfd *descriptors, nfds_t count, int timeout) __asm__("poll");

int __poll_chk(struct pollfd *descriptors, nfds_t count, int timeout, size_t size)
{
    if (size / sizeof *descriptors < count)
        abort();
    return checked_poll(descriptors, count, timeout);
}
#endif
