"""The last module that runs before PyInstaller's importers do: a plain `pd-send` ends here.

Until here only what is built into the interpreter can be imported, and the modules of HOT in
pdagent.spec.
"""

import sys

if sys.argv[0].rpartition("/")[2] == "pd-send":
    from pdagent import quick

    quick.main(sys.argv[1:])
