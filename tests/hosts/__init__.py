"""The packages on hosts with a real init, as administrators meet them: `make hosts`."""
