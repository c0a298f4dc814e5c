"""Runs before the agent's own __main__: tells the package, of which some modules came in before
there were importers, where the rest of it is."""

import sys

import pdagent

pdagent.__path__ = [sys._MEIPASS + "/pdagent"]
del pdagent
