"""Where a command is to write, looked at before its work begins."""

import errno
import os
from pathlib import Path

from ocr2_hf.errors import UsageError


def output_folder(name: str) -> Path:
    """What --output_dir names. Raises `UsageError` where it is a file, or no folder can be there."""
    output = Path(name)
    if os.path.exists(output) and not output.is_dir():
        raise UsageError(f"--output_dir {output} is a file; name a directory")
    _check_writable("--output_dir", output)
    return output


def output_file(name: str) -> Path:
    """What --output names. Raises `UsageError` where it is a folder, or no file can be there."""
    output = Path(name)
    if os.path.isdir(output):
        raise UsageError(f"--output {output} is a folder; name a file")
    _check_writable("--output", output)
    return output


def _check_writable(flag: str, path: Path) -> None:
    places = [path.absolute(), *path.absolute().parents]
    folder = next(place for place in places[not os.path.isdir(path) :] if os.path.exists(place))
    if not folder.is_dir():
        raise UsageError(f"{flag} {path}: {folder} is a file, so there can be no folder in it; name another place")
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}; name another place") from None
    if os.statvfs(folder).f_flag & os.ST_RDONLY:  # a disk's refusal, and told as any other
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{flag} {path}: nothing can be written into {folder}; name another place")
