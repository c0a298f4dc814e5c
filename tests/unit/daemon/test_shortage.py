"""What may pass is waited for; what is a bug of ours is not."""

import errno

import pytest

from pdagent.daemon.shortage import is_shortage


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (MemoryError(), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EBADF, "Bad file descriptor"), False),
        (OSError("without a number"), False),
        (ValueError("a bug"), False),
    ],
)
def test_memory_descriptors_and_room_may_come_back(error: Exception, passes: bool) -> None:
    """Everything else would go on being wrong."""
    assert is_shortage(error) is passes
