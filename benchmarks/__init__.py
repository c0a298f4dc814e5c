"""How fast the agent is: `make bench`, or `python -m benchmarks [name …]`.

A machine's figures say little: it may be slow, or busy. So each is taken in turn with a reference
that does the same job with less (A B A B …), and what counts is the ratio of the two. Budgets are
those of the design. This measures; it does not judge: the exit code is 0 unless something broke.
"""
