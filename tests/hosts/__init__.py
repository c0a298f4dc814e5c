"""The packages on hosts with a real init, as an administrator meets them. `make hosts` runs these."""
