"""What the system refuses of a file, told in one line with its true cause and the remedy: an owner
who gave no permission, a link to data that was never fetched, a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aexad.bench.base.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FETCH = "dvc pull, datalad get, git annex get"
# What stands in a file in place of its content, until that is fetched.
POINTERS = {b"version https://git-lfs.github.com/spec/": "Git LFS; fetch it with git lfs pull",
            b"/annex/objects/": "git-annex; fetch it with git annex get or datalad get"}


def refusal(error: OSError, path: Path | None = None) -> UserError:
    """The one line for what the system said of `path`; without, of the file that it names."""
    named = path or (Path(os.fsdecode(error.filename)) if error.filename else None)
    where = f"{named}: " if named else ""
    link = nowhere(named) if named else None
    if link:
        return UserError(f"{where}{'' if link == named else f'{link} is '}a link to "
                         f"{os.readlink(link)}, which is not there; fetch the data ({FETCH}), or "
                         f"remove the link")
    if isinstance(error, PermissionError):
        closed = _closed(named) if named else None
        return UserError(f"{where}no permission{f' to enter {closed}' if closed else ''}; give "
                         f"yourself access (chmod -R u+rX), or ask its owner")
    if error.errno in FULL:
        return UserError(f"{where}no space left ({error.strerror}); free some space")
    if isinstance(error, FileNotFoundError):
        return UserError(f"{where}not there; was it moved or removed?")
    return UserError(f"{where}cannot be read or written ({error.strerror or error})")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system refuses into one line about `path`: all but that nothing is there,
    which the reader knows more of. What a library says of a file's content, in an OSError of its
    own, passes through as well."""
    try:
        yield
    except FileNotFoundError as error:
        if nowhere(path):
            raise refusal(error, path) from None
        raise
    except OSError as error:
        if of_system(error):
            raise refusal(error, path) from None
        raise


def of_system(error: BaseException) -> bool:
    """Whether the system refused: its errors have a number, but for those that safetensors passes
    on; what Pillow and others say of a file's content in an OSError has none, or EINVAL, where a
    damaged file sent its reader to before its beginning."""
    return isinstance(error, OSError) and (
        error.errno not in (None, errno.EINVAL)
        or isinstance(error, (PermissionError, FileNotFoundError)))


def nowhere(path: Path) -> Path | None:
    """The link that leads nowhere or in a circle, `path` itself or a folder above it, if any."""
    for link in (path, *path.parents):
        if os.path.islink(link):
            try:
                os.stat(link)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    return link
    return None


def listed(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where there is none. UserError where there is one that
    can't be read, or its link leads nowhere: glob passes these in silence."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        if nowhere(folder):
            raise refusal(error, folder) from None
        return []
    except OSError as error:
        raise refusal(error, folder) from None


def _closed(path: Path) -> Path | None:
    """The outermost folder above `path` that one may not enter, if any."""
    return next((folder for folder in reversed(path.parents)
                 if os.path.isdir(folder) and not os.access(folder, os.X_OK)), None)


def not_fetched(path: Path) -> str | None:
    """What to do where a file holds a pointer in place of its content, None where it doesn't."""
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError:
        return None
    for pointer, remedy in POINTERS.items():
        if start.startswith(pointer):
            return f"not the file itself but a pointer of {remedy}"
    return None


def files_below(folder: Path, refused: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """All that is not a folder in `folder` and below, links to folders left out as rglob does.
    A folder that can't be read raises, or is told to `refused`: rglob passes it in silence."""
    def fail(error: OSError) -> None:
        raise refusal(error) from None

    for base, folders, names in os.walk(folder, onerror=refused or fail):
        folders.sort()
        yield from (Path(base, name) for name in sorted(names))


def encodable(text: object) -> bool:
    """Whether a name can be stored and printed: all but names of files that are no UTF-8."""
    try:
        str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def misnamed(path: Path | str, what: str = "") -> UserError:
    """The one line, with the name escaped, for a name that is not `encodable`."""
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    return UserError(f"{what}{shown}: the name is not UTF-8 (made on a system with another "
                     f"encoding?); rename it, as with convmv -f latin1 -t utf8")
