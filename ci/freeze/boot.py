"""In place of PyInstaller's bootstrap and importers. Those look through directories, and make a
path for each module. Here all modules lie in the program, and nothing lies beside it: a name tells
where its module is."""

import sys


def install():
    import marshal
    import posix
    from _frozen_importlib import ModuleSpec
    from zlib import decompress

    # PyInstaller's archive: the header ends with the table's place. The table has the kind, place
    # and length of each module. pdagent.spec sees to it that it is no longer than this.
    header_bytes = 12
    table_bytes = 65_536
    module_kind, namespace_kind = 0, 3

    program, _, start = sys._pyinstaller_pyz.rpartition("?")
    start = int(start)
    # Modules are read from the program's file when they are first imported. An upgrade replaces
    # that file under a running daemon; the kernel's own link still leads to the one that was
    # started. Without /proc there is only the name.
    try:
        posix.stat("/proc/self/exe")
        program = "/proc/self/exe"
    except OSError:
        pass

    def read(place, length):
        fd = posix.open(program, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.pread(fd, length, start + place)
        finally:
            posix.close(fd)

    table = int.from_bytes(read(0, header_bytes)[8:])
    modules = dict(marshal.loads(read(table, table_bytes)))
    # Of the dataclasses in the modules that are being imported, what prepare.py has compiled.
    methods = {}

    def execute(text, names, into):
        exec(methods.get(text, text), names, into)

    class Importer:
        """Imports what lies in the program."""

        @staticmethod
        def find_spec(name, *_):
            if name not in modules:
                return None
            return ModuleSpec(name, Importer, is_package=modules[name][0] != module_kind)

        @staticmethod
        def create_module(_):
            return None  # the usual kind

        @staticmethod
        def exec_module(module):
            name = module.__spec__.name
            kind, place, length = modules[name]
            if kind == namespace_kind:
                return
            code = marshal.loads(decompress(read(place, length)))
            last = code.co_consts[-1]
            prepared = last if isinstance(last, dict) else {}
            methods.update(prepared)
            exec(code, module.__dict__)
            for text in prepared:
                methods.pop(text, None)  # two modules may have the same
            if name == "dataclasses":
                module.exec = execute

    sys.frozen = True
    sys.path.clear()
    sys.path_hooks.clear()
    # Behind those of what is built in and frozen into Python; in the place of Python's own for
    # directories and zip files.
    sys.meta_path[2:] = [Importer]


install()
del install
