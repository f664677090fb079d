"""A command on a small disk of its own and, if it fails, the same on the disk when it has grown.

python small_disk.py FOLDER BYTES|ro RESULTS WORDS ...

FOLDER, which is there and empty, is where the disk is mounted, seen by this process and its children alone; with `ro`
it is written by nobody. RESULTS, a new folder elsewhere, takes what the first call and the second left in `first` and
`second`, with `first.txt` and `second.txt` of what they printed, and `statuses.json`. Status 3 where no disk may be
mounted.
"""

import ctypes
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

from ocr2_hf.__main__ import cli

_NEW_MOUNTS, _NEW_USER, _PRIVATE, _READ_ONLY, _REMOUNT = 0x20000, 0x10000000, 0x44000, 1, 32
_LIBC = ctypes.CDLL(None, use_errno=True)
GROWN = 512 * 2**20


def mount(source: str, folder: str, flags: int, options: str) -> None:
    kind = source.encode() or None
    if _LIBC.mount(kind, folder.encode(), kind, ctypes.c_ulong(flags), options.encode() or None):
        raise OSError(ctypes.get_errno(), "mount")


def disk_at(folder: str, size: str) -> None:
    """A disk of so many bytes, in a namespace that ends with this process."""
    user, group = os.getuid(), os.getgid()
    if _LIBC.unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    mount("", "/", _PRIVATE, "")
    mount("tmpfs", folder, _READ_ONLY if size == "ro" else 0, "" if size == "ro" else f"size={size}")


def call(words: list[str], told: Path) -> int:
    """Run the command in a process of its own; its status."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        stream = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.argv = ["ocr2", *words]
        cli()
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:  # noqa: BLE001  whatever the program raises
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    folder, size, results, *words = sys.argv[1:]
    try:
        disk_at(folder, size)
    except OSError:
        sys.exit(3)
    Path(results).mkdir()
    statuses = []
    for name in ("first", "second"):
        if statuses:
            mount("tmpfs", folder, _REMOUNT, f"size={GROWN}")
        statuses.append(call(words, Path(results) / f"{name}.txt"))
        shutil.copytree(folder, Path(results) / name, symlinks=True)
        if not statuses[-1]:
            break
    (Path(results) / "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    main()
