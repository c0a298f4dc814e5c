def find_library(name: str) -> None:
    """No library is ever found."""
