"""What makes the program's imports quick, found by importing everything: prints a marshalled pair.

- The names of the modules that commands import. These are stored as they are, since each command's
  start would unpack them.
- {module: {text: code}}: the methods that dataclasses writes for the classes of a module, compiled.
  To compile them is five sixths of what a dataclass costs.

usage: prepare.py MODULE...
"""

import dataclasses
import importlib
import marshal
import sys

methods = {}


def compiling(text, names, into):
    code = compile(text, "dataclass", "exec", dont_inherit=True, optimize=2)
    methods.setdefault(names["__name__"], {})[text] = code
    exec(code, names, into)


# By this name dataclasses runs what it has written, once for each class.
dataclasses.exec = compiling

for module in sys.argv[1:]:
    if module.startswith("pdagent.commands."):
        importlib.import_module(module)
of_commands = sorted(sys.modules)
for module in sys.argv[1:]:
    importlib.import_module(module)
sys.stdout.buffer.write(marshal.dumps((of_commands, methods)))
