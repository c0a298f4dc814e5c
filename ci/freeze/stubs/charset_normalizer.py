"""In place of charset_normalizer, which `requests` asks how an answer is encoded."""

__version__ = "3.4.0"  # requests checks that it is at least 2 and less than 4


def detect(data: bytes) -> dict[str, str | float]:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return {"encoding": "latin-1", "language": "", "confidence": 0.5}
    return {"encoding": "utf-8", "language": "", "confidence": 1.0}
