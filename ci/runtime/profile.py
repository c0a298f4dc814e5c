"""Turns the counters of a training run into LLVM's text format. usage: profile.py PROGRAM COUNTERS…

PROGRAM was compiled with -fprofile-generate and names that are not compressed; COUNTERS are what
profile.c wrote. Formats: compiler-rt's InstrProfData.inc, as of LLVM 22.
"""

import subprocess
import sys
from hashlib import md5
from pathlib import Path
from struct import Struct, unpack

# name, hash of the function's control flow, distance to its counters; …; number of counters; …
RECORD = Struct("<QQq24xI12x")


def section(program: Path, name: str) -> tuple[int, bytes]:
    """Address and contents."""
    command = ["readelf", "-SW", str(program)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        fields = line.partition("]")[2].split()
        if fields and fields[0] == name:
            address, offset, size = (int(field, 16) for field in fields[2:5])
            return address, program.read_bytes()[offset : offset + size]
    raise SystemExit(f"profile: {program} has no {name}: it was not compiled for training")


def names(data: bytes) -> dict[int, str]:
    """Functions by the hash that records have for a name. Blocks of them: size, 0 (that is: not
    compressed), text; filled up with zeros."""
    found = {}
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        if data[position] == 0:
            position += 1
            continue
        size = number()
        if number():
            raise SystemExit("profile: the names are compressed")
        for name in data[position : position + size].split(b"\x01"):
            found[int.from_bytes(md5(name, usedforsecurity=False).digest()[:8], "little")] = name
        position += size
    return {reference: name.decode() for reference, name in found.items()}


def main() -> None:
    program, *files = map(Path, sys.argv[1:])
    counters_at, room = section(program, "__llvm_prf_cnts")
    records_at, records = section(program, "__llvm_prf_data")
    known = names(section(program, "__llvm_prf_names")[1])
    runs = [unpack(f"<{len(room) // 8}Q", file.read_bytes()) for file in files]
    counters = [sum(values) for values in zip(*runs, strict=True)]
    seen = set()
    print(":ir")
    for at in range(0, len(records), RECORD.size):
        reference, flow, distance, count = RECORD.unpack_from(records, at)
        if (reference, flow) in seen:  # a function of a header is in several objects
            continue
        seen.add((reference, flow))
        first = (records_at + at + distance - counters_at) // 8
        print(known[reference], flow, count, *counters[first : first + count], "", sep="\n")


main()
