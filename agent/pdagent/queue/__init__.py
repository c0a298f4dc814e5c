"""The queue: the other half of the spool, which only the agent and root may touch.

It knows files, names and state. It does not know HTTP.
"""
