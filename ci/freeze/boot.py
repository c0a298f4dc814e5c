"""In place of PyInstaller's pyiboot01_bootstrap, which lists the directory beside the program:
there is none."""

import sys

sys.frozen = True
sys.path[:] = [sys._MEIPASS]

# Modules are read from the program's file when they are first imported. An upgrade replaces that
# file under a running daemon; the kernel's own link still leads to the one that was started.
# Without /proc there is only the name.
try:
    import posix

    posix.stat("/proc/self/exe")
    offset = sys._pyinstaller_pyz.rpartition("?")[2]
    sys._pyinstaller_pyz = "/proc/self/exe?" + offset
    del offset
except OSError:
    pass

# No importer of Python's own for directories and zip files: all there is lies in the program. Our
# Python has none for zip files to begin with, so there is nothing for PyInstaller to adjust.
sys.path_hooks.clear()
import pyimod02_importers

pyimod02_importers._patch_zipimporter_get_source = lambda: None
pyimod02_importers.install()

# The package itself is frozen into Python; the codecs that are not lie in the program.
import encodings

encodings.__path__.append(sys._MEIPASS + "/encodings")
del posix, encodings, pyimod02_importers
