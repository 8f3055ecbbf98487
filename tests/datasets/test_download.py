"""Downloads that break off, change and lie; archives that would do harm."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aexad.bench.base.errors import UserError
from aexad.datasets.download import ATTEMPTS, CHUNK, download
from aexad.datasets.unpack import unpack

from server import Site, serving

CONTENT = os.urandom(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.files["/a.zip"] = CONTENT
        yield site


def get(site: Site, tmp_path: Path, sha256: str = "", **options) -> str:
    return download(site.url + "/a.zip", tmp_path / "a.zip", sha256, pause=0, **options)


def only(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_comes_whole_with_its_checksum(site, tmp_path):
    assert get(site, tmp_path, SHA) == SHA
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and only(tmp_path) == ["a.zip"]


def test_the_beginning_of_a_checksum_will_do(site, tmp_path):
    assert get(site, tmp_path, SHA[:8]) == SHA
    with pytest.raises(UserError, match="wrong bytes"):
        get(site, tmp_path, "0" * 8)


def test_a_break_is_continued_where_it_was(site, tmp_path):
    site.breaks, site.bytes_before = 2, CHUNK
    get(site, tmp_path, SHA)
    assert site.requests == [("/a.zip", None), ("/a.zip", f"bytes={CHUNK}-"),
                             ("/a.zip", f"bytes={2 * CHUNK}-")]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_download_given_up_is_continued_by_the_next_call(site, tmp_path):
    site.breaks, site.bytes_before = 1, CHUNK
    site.status["/a.zip"] = 503

    class Once(dict):  # the first request comes through
        def __contains__(self, path: object) -> bool:
            return len(site.requests) > 1

    site.status = Once(site.status)
    with pytest.raises(UserError, match=r"broke off after 0\.1 MB \(503 .*the same command con"):
        get(site, tmp_path, SHA)
    assert len(site.requests) == 1 + ATTEMPTS
    assert only(tmp_path) == ["a.zip.part", "a.zip.part.tag"]
    site.status = {}
    assert get(site, tmp_path, SHA) == SHA
    assert site.requests[-1] == ("/a.zip", f"bytes={CHUNK}-")
    assert only(tmp_path) == ["a.zip"]


def test_a_server_without_ranges_starts_anew(site, tmp_path):
    site.breaks, site.bytes_before, site.ranges = 1, CHUNK, False
    assert get(site, tmp_path, SHA) == SHA
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_without_a_checksum_only_the_same_version_is_continued(site, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)  # of unknown origin
    get(site, tmp_path)
    assert site.requests == [("/a.zip", None)]
    for tag, ranges in (('"1"', "bytes=1000-"), ('"0"', "bytes=1000-"), ("", None)):
        site.requests.clear()
        site.tags["/a.zip"] = '"1"'
        (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
        (tmp_path / "a.zip.part.tag").write_text(tag)
        assert get(site, tmp_path) == SHA  # a changed file came whole
        assert site.requests == [("/a.zip", ranges)]


def test_a_weak_tag_is_no_reason_to_continue(site, tmp_path):
    site.tags["/a.zip"] = 'W/"1"'
    site.breaks, site.bytes_before = 1, CHUNK
    assert get(site, tmp_path) == SHA
    assert [r for _, r in site.requests] == [None, None]


def test_a_part_that_is_whole_already(site, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    assert get(site, tmp_path, SHA) == SHA
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    assert get(site, tmp_path, SHA) == SHA


def test_wrong_bytes_are_refused_and_removed(site, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)  # another file's beginning
    with pytest.raises(UserError, match=rf"wrong bytes \(SHA-256 \w+, expected {SHA}\); removed"):
        get(site, tmp_path, SHA)
    assert only(tmp_path) == []
    assert get(site, tmp_path, SHA) == SHA


def test_a_huge_declared_length_is_refused_at_once(site, tmp_path):
    site.declared["/a.zip"] = 10**15
    with pytest.raises(UserError, match=r"1000000\.0 GB, more than expected"):
        get(site, tmp_path, SHA)
    assert not (tmp_path / "a.zip").exists()
    site.declared["/a.zip"] = 10**10
    with pytest.raises(UserError, match="free some space"):
        import shutil
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda p: shutil._ntuple_diskusage(9, 9, 10**9))
            get(site, tmp_path, SHA)
    del site.declared["/a.zip"]
    with pytest.raises(UserError, match="more than expected"):
        get(site, tmp_path, SHA, most=1000)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_said(site, tmp_path, status):
    site.status["/a.zip"] = status
    with pytest.raises(UserError, match=f"the server answers {status}"):
        get(site, tmp_path, SHA)
    assert len(site.requests) == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("bundle", ["missing", "empty", "no certificates"])
def test_certificates_that_are_none_are_not_a_full_disk(site, tmp_path, monkeypatch, variable,
                                                        bundle):
    path = tmp_path / "ca.pem"
    if bundle != "missing":
        path.write_text("" if bundle == "empty" else "hello")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(path))
    url = site.url.replace("http:", "https:") + "/a.zip"
    with pytest.raises(UserError) as caught:
        download(url, tmp_path / "a.zip", pause=0)
    said = str(caught.value)
    assert said.startswith(f"{url}: no trusted connection (") and "CURL_CA_BUNDLE" in said
    assert "write" not in said and "space" not in said


@pytest.mark.parametrize("url", ["https://" + "a" * 80 + ".com/x", "http://[::1/x", "nonsense",
                                 "http://127.0.0.1:99999999/x", "http://x y/z"])
def test_addresses_that_are_none(tmp_path, url):
    with pytest.raises(UserError, match="(?i)not an address|parse|invalid"):
        download(url, tmp_path / "x", pause=0)


def test_a_folder_without_permission_is_not_a_full_disk(site, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="Permission denied.; choose another place"):
        get(site, tmp_path)


def test_no_server(tmp_path):
    with serving() as site:
        pass
    with pytest.raises(UserError, match=r"nothing came \(.*[Cc]onnection refused\)"):
        get(site, tmp_path, SHA)
    with pytest.raises(UserError, match="nonsense"):
        download("nonsense", tmp_path / "a", pause=0)


# -- archives --

def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member in members:
            info, content = (member, b"") if isinstance(member, tarfile.TarInfo) else (
                tarfile.TarInfo(member[0]), member[1])
            if content:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if content else None)
    return path


def zip_of(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members:
            content.writestr(name, data)
    return path


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked(tmp_path, mode):
    program = tarfile.TarInfo("b/run")
    program.mode = 0o4777
    archive = tar_of(tmp_path / "a", special("b", tarfile.DIRTYPE), ("b/c/d.png", CONTENT),
                     ("./e " + "long" * 40, b"x"), program, mode=mode)
    assert unpack(archive, tmp_path / "out") == 3
    assert (tmp_path / "out/b/c/d.png").read_bytes() == CONTENT
    assert not os.stat(tmp_path / "out/b/run").st_mode & (stat.S_ISUID | 0o111)


def test_a_zip_is_unpacked(tmp_path):
    archive = zip_of(tmp_path / "a", ("b/", b""), ("b/c.png", CONTENT), ("d\\e.png", b"y"))
    assert unpack(archive, tmp_path / "out") == 2
    assert (tmp_path / "out/b/c.png").read_bytes() == CONTENT
    assert (tmp_path / "out/d/e.png").read_bytes() == b"y"


OUTSIDE = ("../evil", "b/../../evil", "/evil", "..\\evil", "C:\\evil", "b/\x01", "x" * 300)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_lead_outside(tmp_path, name, make):
    archive = make(tmp_path / "a", ("fine", b"x"), (name, b"evil"))
    with pytest.raises(UserError, match="leads outside of the target or is no file name"):
        unpack(archive, tmp_path / "in" / "out")
    assert only(tmp_path) == ["a", "in"] and only(tmp_path / "in") == ["out"]
    assert only(tmp_path / "in" / "out") == ["fine"]


@pytest.mark.parametrize("kind, word", [
    (tarfile.SYMTYPE, "a link"), (tarfile.LNKTYPE, "a link"), (tarfile.FIFOTYPE, "a device"),
    (tarfile.CHRTYPE, "a device"), (tarfile.BLKTYPE, "a device")])
def test_links_and_devices_in_a_tar(tmp_path, kind, word):
    archive = tar_of(tmp_path / "a", special("b", kind, "/etc"), ("b/passwd", b"evil"))
    with pytest.raises(UserError, match=f"its member 'b' is {word}"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "b").exists()


def test_a_link_and_an_encrypted_member_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("b")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="its member 'b' is a link"):
        unpack(zip_of(tmp_path / "a", (info, b"/etc")), tmp_path / "out")
    archive = zip_of(tmp_path / "c", ("d", b"e"))
    data = bytearray(archive.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="its member 'd' is encrypted"):
        unpack(archive, tmp_path / "out")


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("aexad.datasets.unpack.ALLOWANCE", 2**20)
    archive = zip_of(tmp_path / "a", ("some", bytes(2**20)), ("zeros", bytes(2**20)))
    with pytest.raises(UserError, match="'zeros' says it has 1048576 bytes, too much"):
        unpack(archive, tmp_path / "out")  # together they are too much
    assert (tmp_path / "out" / "some").exists()
    assert not (tmp_path / "out" / "zeros").exists()


def test_a_huge_declared_size(tmp_path):
    huge = tarfile.TarInfo("b")
    huge.size = 2**50
    (tmp_path / "a").write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(UserError, match=f"'b' says it has {2**50} bytes, too much"):
        unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("at_start", [True, False])
def test_a_huge_header_is_not_read_into_memory(tmp_path, kind, at_start):
    header = special("b", kind)
    header.size = 2**40
    first = b"" if at_start else special("c", tarfile.DIRTYPE).tobuf()
    (tmp_path / "a").write_bytes(first + header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(UserError, match="neither a .zip nor a .tar" if at_start else
                       f"a damaged archive \\(a header of {2**40} bytes"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_a_zip_member_longer_or_shorter_than_it_says(tmp_path):
    archive = zip_of(tmp_path / "a", ("b", CONTENT))
    data = archive.read_bytes()
    for size in (10, 10**6):
        changed = bytearray(data)
        struct.pack_into("<I", changed, data.index(b"PK\x01\x02") + 24, size)
        archive.write_bytes(changed)
        with pytest.raises(UserError, match="damaged|cut short|longer"):
            unpack(archive, tmp_path / f"out{size}")


def test_too_many_members_and_two_of_a_name(tmp_path):
    archive = tar_of(tmp_path / "a", *((f"{i}", b"x") for i in range(6)))
    with pytest.raises(UserError, match="more than 5 members"):
        unpack(archive, tmp_path / "out", most_members=5)
    assert unpack(archive, tmp_path / "all", most_members=6) == 6
    with pytest.raises(UserError, match="two members of the name"):
        unpack(tar_of(tmp_path / "b", ("c", b"1"), ("c", b"2")), tmp_path / "out2")


def test_no_archive(tmp_path):
    (tmp_path / "a").write_text("<html>please log in</html>")
    with pytest.raises(UserError, match="neither a .zip nor a .tar archive"):
        unpack(tmp_path / "a", tmp_path / "out")


@settings(max_examples=25, deadline=None)
@given(data=st.data(), make=st.sampled_from(["zip", "tar", "xz"]))
def test_damaged_archives_end_in_one_line_or_are_whole(tmp_path_factory, data, make):
    folder = tmp_path_factory.mktemp("damaged")
    members = [(f"d/{i}.png", CONTENT[i * 500:(i + 1) * 500]) for i in range(3)]
    archive = (zip_of(folder / "a", *members) if make == "zip" else
               tar_of(folder / "a", *members, mode="w" if make == "tar" else "w:xz"))
    raw = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(raw[:data.draw(st.integers(0, len(raw)))])
    try:
        unpack(archive, folder / "out")
    except UserError as error:
        assert "\n" not in str(error) and str(archive) in str(error)
    assert only(folder) in (["a"], ["a", "out"])
