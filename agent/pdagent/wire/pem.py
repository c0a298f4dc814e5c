"""PEM files: certificates and private keys, which OpenSSL opens by their names.

OpenSSL would wait at a FIFO until somebody writes to it, and would read a device or a huge file to
its end. So each file is looked at before OpenSSL gets its name.
"""

import errno
import os
import stat

FILE_BYTES = 16_777_216  # a distribution's bundle of authorities has less than a megabyte


def mode_of(path: str) -> int:
    """The file's mode. Raises OSError where OpenSSL should not open it."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if found.st_size > FILE_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {FILE_BYTES} bytes")
    with open(path, "rb"):  # whether this user may read it
        return found.st_mode
