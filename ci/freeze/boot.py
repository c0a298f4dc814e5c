"""In place of PyInstaller's pyiboot01_bootstrap, which lists a directory of files beside the
program: there is none."""

import sys

sys.frozen = True
sys.path[:] = [sys._MEIPASS]

# Modules are read from the program's file when they are first imported. An upgrade replaces that
# file under a running daemon; the kernel's own link still leads to the one that was started.
# Without /proc there is only the name.
try:
    import posix

    posix.stat("/proc/self/exe")
    sys._pyinstaller_pyz = (
        "/proc/self/exe" + sys._pyinstaller_pyz[sys._pyinstaller_pyz.rindex("?") :]
    )
except OSError:
    pass

import pyimod02_importers

pyimod02_importers.install()

# What came in before the importers were there has to be told where the rest of it is.
import encodings

import pdagent

encodings.__path__.append(sys._MEIPASS + "/encodings")
pdagent.__path__ = [sys._MEIPASS + "/pdagent"]
del posix, encodings, pdagent, pyimod02_importers
