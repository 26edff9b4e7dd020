# SPDX-License-Identifier: LGPL-2.1-or-later
"""Delta tools, ours among them: each codes one pair, is measured, and is proven by a round trip."""
import bz2
import lzma
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

ZUCCHINI = pathlib.Path("/var/tmp/bsi-zucchini/zucchini")
LARGE_BYTES = 10e6  # what takes xdelta3 and zstd minutes


def run(args):
    """Run a command: exit status, seconds of processor time, peak KiB."""
    with tempfile.NamedTemporaryFile("r") as out:
        # time(1) is small: what it starts does not inherit this script's peak
        status = subprocess.run(["/usr/bin/time", "-o", out.name, "-f", "%U %S %M", *map(str, args)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        user, system, kib = out.read().split()[-3:]
    return status, float(user) + float(system), int(kib)


class Failed(Exception):
    """A tool ended with an error, or gave back another file."""


def steps(commands):
    """Seconds and peak KiB of commands one after another."""
    seconds, peak = 0.0, 0
    for command in commands:
        status, s, kib = run(command)
        if status:
            raise Failed(f"{command[0]} ended with status {status}")
        seconds, peak = seconds + s, max(peak, kib)
    return seconds, peak


def measure(encode, apply, patch, back, new):
    """One tool on one pair, as a row of results."""
    back.unlink(missing_ok=True)
    encode_s, encode_kib = steps(encode)
    apply_s, apply_kib = steps(apply)
    if back.read_bytes() != new.read_bytes():
        raise Failed(f"{apply[-1][0]} gave back another file")
    return {"bytes": patch.stat().st_size, "encode_s": round(encode_s, 3),
            "apply_s": round(apply_s, 3), "encode_kib": encode_kib, "apply_kib": apply_kib}


def bsdiff_xz_bytes(patch):
    """The three streams of a bsdiff patch, recompressed."""
    data = patch.read_bytes()
    control, diff, _ = struct.unpack("<qqq", data[8:32])
    streams = (data[32:32 + control], data[32 + control:32 + control + diff],
               data[32 + control + diff:])
    return 32 + sum(len(lzma.compress(bz2.decompress(s), preset=9 | lzma.PRESET_EXTREME))
                    for s in streams)


def commands(program, zucchini, old, new, work):
    """For each tool: commands that encode, commands that apply, the patch, what comes back."""
    patch, packed, back = work / "patch", work / "patch.packed", work / "back"
    result = {
        "ours": ([[program, "encode", old, new, patch]], [[program, "apply", old, patch, back]], patch),
        "bsdiff": ([["bsdiff", old, new, patch]], [["bspatch", old, back, patch]], patch),
        "xdelta3": ([["xdelta3", "-e", "-f", "-9", "-S", "lzma", "-B", max(old.stat().st_size, 1 << 20),
                      "-s", old, new, patch]], [["xdelta3", "-d", "-f", "-s", old, patch, back]], patch),
        "zstd": ([["zstd", "-q", "-f", "--ultra", "-22", "--long=31", f"--patch-from={old}", new, "-o", patch]],
                 [["zstd", "-q", "-f", "-d", "--long=31", f"--patch-from={old}", patch, "-o", back]], patch),
    }
    if zucchini and shutil.which("brotli"):
        result["zucchini"] = (
            [[zucchini, "-gen", old, new, patch], ["brotli", "-f", "-q", "11", "--lgwin=24", patch, "-o", packed]],
            [["brotli", "-f", "-d", packed, "-o", patch], [zucchini, "-apply", old, patch, back]], packed)
    return result, back


def tools(program, zucchini, old, new, work, only=()):
    """
    Every tool that is installed, or those named, and ours first. Ours failing ends the run; another
    is left out.
    """
    result = {}
    table, back = commands(program, zucchini, old, new, work)
    for name, (encode, apply, patch) in table.items():
        large = new.stat().st_size > LARGE_BYTES and name in ("xdelta3", "zstd")
        if large or not shutil.which(str(encode[0][0])) or (only and name not in ("ours", *only)):
            continue
        try:
            result[name] = measure(encode, apply, patch, back, new)
        except Failed as e:
            if name == "ours":
                sys.exit(f"{new}: {e}")
            print(f"# {name} left out for {new}: {e}", file=sys.stderr)
            continue
        if name == "bsdiff":
            result["bsdiff+xz"] = {"bytes": bsdiff_xz_bytes(patch)}
    return result
