"""Runs before the agent's own __main__: tells the package, of which some modules came in before
there were importers, where the rest of it is."""

import sys

for package in "pdagent", "pdagent.integrations":
    if package in sys.modules:
        sys.modules[package].__path__ = [sys._MEIPASS + "/" + package.replace(".", "/")]
