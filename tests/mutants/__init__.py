"""Mutation testing: mutmut changes one thing at a time in what keeps the promises, and the tests
have to notice."""
