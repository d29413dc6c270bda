"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """1 scan, 2 scans, 0 scans."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
