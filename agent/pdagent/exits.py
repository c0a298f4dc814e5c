"""Exit codes, the same for every command; the numbers are those of sysexits(3)."""

DONE = 0
WARNING = 1  # pdagent check: nothing failed, something will
USAGE = 2  # argparse's
CHECK_FAILED = 3  # pdagent check: pages do not go out, or will not for long
BAD_DATA = 65  # EX_DATAERR
NO_SUCH_EVENT = 66  # EX_NOINPUT: pd-queue
REMOVED = 69  # EX_UNAVAILABLE: pd-send --wait, and somebody removed the event
UNWRITTEN = 74  # EX_IOERR: standard output could not be written; never pd-send's receipt
# EX_TEMPFAIL: neither queued nor delivered. pdagentd: another daemon has the spool, or something
# that it needs to start is not to be had now.
TRY_AGAIN = 75
REFUSED = 76  # EX_PROTOCOL: pd-send --wait, and the event is in error
NOT_PERMITTED = 77  # EX_NOPERM
BAD_CONFIG = 78  # EX_CONFIG
STILL_QUEUED = 79  # none of sysexits': pd-send --wait, and PagerDuty does not have it yet
INTERRUPTED = 130  # what a shell reports for SIGINT
