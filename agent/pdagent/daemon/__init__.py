"""The daemon: one process that takes pending events through schedule and wire to where they end."""
