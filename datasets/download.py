"""One file from a server: continued where it broke off, checked, there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import requests
from tqdm import tqdm

from aexad.bench.base.errors import UserError
from aexad.bench.base.refusals import FULL

MOST_BYTES = 64 * 2**30  # more than any of the datasets
ATTEMPTS = 4  # in a row that bring nothing
TIMEOUT = (20, 60)  # seconds to connect, and without a byte
CHUNK = 2**16  # bytes; what a break may cost

_CERTIFICATES = ("certificates are those of REQUESTS_CA_BUNDLE, else CURL_CA_BUNDLE, else the "
                 "package certifi's; set these variables rightly, or unset them")
_BREAKS = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def download(url: str, path: Path, sha256: str = "", *, most: int = MOST_BYTES,
             pause: float = 2.0) -> str:
    """Fetch `url` into `path`; returns its SHA-256.

    What came so far stays in `path`.part over breaks and restarts. It is continued only where that
    is sound: the checksum is known, or the server says that the file is still the same. sha256:
    the expected checksum or, as in the names of torchvision's weights, its beginning. most: bytes.
    UserError: refused by the server, too large, no room, wrong bytes (these are removed).
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _with_patience(url, part, sha256, most, pause)
        found = file_sha256(part)
        if not found.startswith(sha256):
            forget(part)
            raise UserError(f"{url}: wrong bytes (SHA-256 {found}, expected {sha256}); removed. "
                            f"Try again, or take another address with --url")
        os.replace(part, path)
        forget(part)
        return found
    except requests.RequestException as error:
        raise UserError(f"{url}: {_brief(error)}") from None
    except OSError as error:
        remedy = "free some space" if error.errno in FULL else "choose another place"
        raise UserError(f"{path}: cannot write ({error.strerror or error}); {remedy}, the same "
                        f"command continues") from None


def file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(part: Path) -> None:
    """Remove a partial download."""
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _with_patience(url: str, part: Path, sha256: str, most: int, pause: float) -> None:
    """Transfer until all is there; give up after ATTEMPTS breaks without a new byte."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            return _transfer(url, part, bool(sha256), most)
        except _BREAKS as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless == ATTEMPTS:
                came = _size(part)
                what = f"broke off after {came / 1e6:.1f} MB" if came else "nothing came"
                raise UserError(f"{url}: {what} ({_brief(error)}); the same command "
                                f"continues") from None
            time.sleep(pause * fruitless)


def _transfer(url: str, part: Path, checked: bool, most: int) -> None:
    """One request, for what is missing of `part`."""
    tag = _tag(part).read_text() if _tag(part).exists() else ""
    start = _size(part) if checked or tag else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag and not checked:
            headers["If-Range"] = tag  # a changed file comes whole
    with _answer(url, headers) as answer:
        if answer.status_code == 416:  # nothing behind `start`
            if answer.headers.get("Content-Range") == f"bytes */{start}":
                return
            part.unlink()
            raise requests.ConnectionError("more was here than the server has; starting anew")
        if answer.status_code == 429 or answer.status_code >= 500:
            raise requests.ConnectionError(f"{answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206):
            raise UserError(f"{url}: the server answers {answer.status_code} {answer.reason}")
        if answer.status_code == 200:
            start = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise UserError(f"{url}: the server continues elsewhere than at byte {start}; remove "
                            f"{part} and try again")
        _write(url, answer, part, start, most)


def _answer(url: str, headers: dict[str, str]) -> requests.Response:
    """What the server answers. UserError for what no second try changes: certificates that are
    missing, unreadable or not trusted, and an address that is none."""
    try:
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        if "certificate" in str(error).lower():  # other faults of TLS may be breaks
            raise UserError(f"{url}: no trusted connection ({_brief(error)}); {_CERTIFICATES}"
                            ) from None
        raise
    except OSError as error:  # of the files that requests reads, before any connection
        raise UserError(f"{url}: no trusted connection ({' '.join(str(error).split())[:200]}); "
                        f"{_CERTIFICATES}") from None
    except ValueError as error:  # urllib3's and the domain name's encoding
        raise UserError(f"{url}: not an address ({_brief(error)})") from None


def _write(url: str, answer: requests.Response, part: Path, start: int, most: int) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    if total and total > most:
        raise UserError(f"{url}: {total / 1e9:.1f} GB, more than expected (at most "
                        f"{most / 1e9:.1f} GB); not fetched")
    free = shutil.disk_usage(part.parent).free
    if total and total - start > free:
        raise UserError(f"{part.parent}: {free / 1e9:.1f} GB free, {(total - start) / 1e9:.1f} GB "
                        f"needed; free some space")
    tag = answer.headers.get("ETag", "")
    tag = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    with open(part, "ab" if start else "wb") as file, tqdm(
            total=total, initial=start, unit="B", unit_scale=True, desc=part.stem,
            disable=None) as bar:  # None: no bar where stderr is no terminal
        _tag(part).write_text(tag)
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() > most:
                raise UserError(f"{url}: more than {most / 1e9:.1f} GB; given up")
    if total is not None and _size(part) != total:
        raise requests.ConnectionError("the connection closed too early")


def _tag(part: Path) -> Path:
    """What the server calls the version of the file of which `part` is the beginning."""
    return part.with_name(part.name + ".tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _brief(error: BaseException) -> str:
    """The innermost cause; requests and urllib3 wrap it in many words."""
    while inner := getattr(error, "reason", None) or (error.args and error.args[0]):
        if not isinstance(inner, BaseException):
            break
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
