"""PyInstaller imports ctypes to look for shared libraries. Our runtime has neither, so it gets
this."""
