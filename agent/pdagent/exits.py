"""Exit codes, the same for every command; the numbers are those of sysexits(3)."""

DONE = 0
USAGE = 2  # argparse's
BAD_DATA = 65  # EX_DATAERR
NOT_DELIVERED = 69  # EX_UNAVAILABLE: direct delivery was tried and PagerDuty did not take it
TRY_AGAIN = 75  # EX_TEMPFAIL: the spool can't be written, or another daemon has it
NOT_PERMITTED = 77  # EX_NOPERM
BAD_CONFIG = 78  # EX_CONFIG
INTERRUPTED = 130  # what a shell reports for SIGINT
