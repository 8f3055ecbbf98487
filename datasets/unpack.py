"""Archives from elsewhere, unpacked so that they can't harm: nothing is written outside the target,
no links or devices, and neither sizes nor numbers of members without bound."""

from __future__ import annotations

import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from aexad.bench.base.errors import UserError

MOST_MEMBERS = 200_000
MOST_HEADER = 2**20  # bytes of one extended header
GROWTH, ALLOWANCE = 20, 100 * 2**20  # unpacked: at most 20 times the archive and 100 MiB


class Member(NamedTuple):
    """What an archive says of one of its members. kind: 'file', 'folder', or what it is instead."""

    name: str
    kind: str
    size: int
    open: object  # () -> IO[bytes]


def unpack(archive: Path, target: Path, most_members: int = MOST_MEMBERS) -> int:
    """Write the files of a .zip or .tar(.gz, .bz2, .xz) below `target`, a new folder; returns how
    many.

    Only names and bytes are taken from the archive, no modes, owners or times. UserError, with
    what is wrong, at the first member that is not a plain file or folder, has a name that leads
    outside or stands there twice, or is too much; what was written until then stays in `target`.
    """
    left = GROWTH * archive.stat().st_size + ALLOWANCE
    files = 0
    try:
        for count, member in enumerate(_members(archive), 1):
            if count > most_members:
                raise UserError(f"{archive}: more than {most_members} members; not unpacked")
            path = target / _inside(archive, member)
            if member.kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                continue
            if member.size > left:
                raise UserError(f"{archive}: its member {member.name!r:.100} says it has "
                                f"{member.size} bytes, too much for an archive of "
                                f"{archive.stat().st_size}; not unpacked")
            path.parent.mkdir(parents=True, exist_ok=True)
            left -= _write(archive, member, path)
            files += 1
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError,
            NotImplementedError, RuntimeError, ValueError, UnicodeError) as error:
        raise UserError(f"{archive}: a damaged archive ({error or type(error).__name__}); fetch it "
                        f"again") from None
    except FileExistsError as error:
        raise UserError(f"{archive}: two members of the name {error.filename}") from None
    except OSError as error:
        raise UserError(f"{archive}: cannot unpack ({error.strerror or error})") from None
    return files


def _members(archive: Path) -> Iterator[Member]:
    try:
        content = tarfile.open(archive, tarinfo=_Header)
    except tarfile.ReadError:
        content = None
    if content:
        with content:
            for info in content:
                yield Member(info.name, _tar_kind(info), info.size,
                             lambda info=info: content.extractfile(info))
                content.members = []  # else it remembers all of them
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content:
            for info in content.infolist():
                yield Member(info.filename, _zip_kind(info), info.file_size,
                             lambda info=info: content.open(info))
    else:
        raise UserError(f"{archive}: neither a .zip nor a .tar archive")


class _Header(tarfile.TarInfo):
    """tarfile reads extended headers (long names) whole: here only up to a bound."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        extended = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
                    tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if info.type in extended and info.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "folder"
    if info.issym() or info.islnk():
        return "a link"
    return "file" if info.isreg() and not info.issparse() else "a device or another special file"


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.is_dir():
        return "folder"
    if info.flag_bits & 1:
        return "encrypted"
    mode = stat.S_IFMT(info.external_attr >> 16)
    return "file" if mode in (0, stat.S_IFREG) else "a link or another special file"


def _inside(archive: Path, member: Member) -> Path:
    """The member's path relative to the target."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    outside = (name.is_absolute() or ".." in name.parts or ":" in member.name
               or any(ord(c) < 32 for c in member.name)
               or any(len(os.fsencode(part)) > 255 for part in name.parts))
    if outside:
        raise UserError(f"{archive}: its member {member.name!r:.100} leads outside of the target "
                        f"or is no file name; not unpacked")
    if member.kind not in ("file", "folder"):
        raise UserError(f"{archive}: its member {member.name!r:.100} is {member.kind}; not "
                        f"unpacked")
    return Path(*name.parts)


def _write(archive: Path, member: Member, path: Path) -> int:
    """Copy a member's bytes, no more than it declared; the number of bytes."""
    source: IO[bytes] | None = member.open()
    written = 0
    with source or io.BytesIO() as stream, open(path, "xb") as file:
        while chunk := stream.read(2**20):
            written += len(chunk)
            if written > member.size:
                raise UserError(f"{archive}: its member {member.name!r:.100} is longer than it "
                                f"says; not unpacked")
            file.write(chunk)
    if written != member.size:
        raise UserError(f"{archive}: its member {member.name!r:.100} is cut short; fetch the "
                        f"archive again")
    return written
