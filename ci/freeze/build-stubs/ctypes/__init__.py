"""PyInstaller imports ctypes to look for shared libraries; our runtime has neither."""
