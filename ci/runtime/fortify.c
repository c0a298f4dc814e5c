/* What FORTIFY's headers call, and a glibc of 2.12 does not have yet: these two came with 2.15 and 2.16. Compiled into
 * libpython, where whatever is linked with it finds them. */
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
