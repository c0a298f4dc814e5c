"""The schedule: which event may go now.

Pure: no files, no HTTP, no threads; the clock is handed in.
"""
