"""In place of gettext, which argparse asks to translate each of its texts. The program holds no
translations, and each text would be looked for in vain."""


def gettext(text: str) -> str:
    return text


def ngettext(one: str, several: str, count: int) -> str:
    return one if count == 1 else several
