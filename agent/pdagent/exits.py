"""Exit codes, the same for every command; docs/exit-codes.md says what they mean. The numbers from
65 to 78 are those of sysexits(3)."""

DONE = 0
WARNING = 1
USAGE = 2  # as argparse has it
CHECK_FAILED = 3
BAD_DATA = 65
NO_SUCH_EVENT = 66
REMOVED = 69
UNWRITTEN = 74
TRY_AGAIN = 75
REFUSED = 76
NOT_PERMITTED = 77
BAD_CONFIG = 78
STILL_QUEUED = 79  # not one of sysexits
INTERRUPTED = 130  # what a shell reports for SIGINT
