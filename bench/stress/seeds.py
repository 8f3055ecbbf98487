"""Good files of every kind, made on the spot, and special cases that mutation would hardly find."""

from __future__ import annotations

import io
import json
import pickle
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

RNG = np.random.default_rng


class Evil:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


# -- images --


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=form, **options)
    return file.getvalue()


def images() -> list[bytes]:
    """Images of all modes and formats that are read, 24 x 16."""
    rgb = Image.fromarray(RNG(1).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    grey16 = Image.fromarray(RNG(2).integers(0, 2**16, (16, 24), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    tiff = {"compression": "tiff_lzw"}
    return [_encoded(rgb, "PNG"), _encoded(rgb, "JPEG"), _encoded(rgb, "BMP"),
            _encoded(rgb, "TIFF"), _encoded(rgb, "TIFF", **tiff), _encoded(grey16, "PNG"),
            _encoded(grey16, "TIFF"), _encoded(rgb.convert("P"), "PNG", transparency=3),
            _encoded(rgb.convert("RGBA"), "PNG"), _encoded(rgb.convert("LA"), "PNG"),
            _encoded(rgb.convert("CMYK"), "JPEG"), _encoded(rgb.convert("CMYK"), "TIFF"),
            _encoded(rgb.convert("1"), "PNG"), _encoded(rgb.resize((1, 1)), "PNG"),
            _encoded(rgb, "JPEG", exif=turned), _encoded(rgb, "PNG", exif=turned),
            _encoded(rgb, "TIFF", save_all=True, append_images=[rgb, rgb]),
            _encoded(rgb, "JPEG", progressive=True, quality=30)]


def float_maps() -> list[bytes]:
    """TIFFs of the number types that Pillow does not know, plain and compressed."""
    import tifffile

    made = []
    for kind in ("float16", "float32", "float64", "uint32", "int64"):
        for packed in (None, "zlib"):
            file = io.BytesIO()
            tifffile.imwrite(file, (RNG(5).random((16, 24)) * 99).astype(kind), compression=packed)
            made.append(file.getvalue())
    return made


def choices() -> list[bytes]:
    """CSV files of editors and spreadsheets, the second with names as macOS writes them."""
    text = "image,part,kind,mask\na.png,train,good,\né/b.png,test,dent,é/mask.png\n"
    return [text.encode(), unicodedata.normalize("NFD", text).encode(),
            text.replace(",", ";").encode("utf-8-sig"), text.replace(",", "\t").encode("utf-16")]


def masks() -> list[bytes]:
    """Masks, 24 x 16, in the modes that tools write."""
    values = np.zeros((16, 24), np.uint8)
    values[3:9, 5:11] = 255
    mask = Image.fromarray(values)
    turned = Image.Exif()
    turned[0x0112] = 3
    wide = Image.fromarray(values.astype(np.uint16) * 200)
    return [_encoded(mask, "PNG"), _encoded(mask.convert("1"), "PNG"), _encoded(mask, "BMP"),
            _encoded(mask.convert("P"), "PNG"), _encoded(mask.convert("RGB"), "PNG"),
            _encoded(mask.convert("RGBA"), "PNG"), _encoded(wide, "PNG"), _encoded(wide, "TIFF"),
            _encoded(Image.fromarray(values // 255), "PNG"), _encoded(mask, "PNG", exif=turned),
            _encoded(mask, "JPEG"), _encoded(mask.convert("1"), "TIFF", compression="group4")]


def image_cases() -> list[bytes]:
    """Bombs, other formats under a wrong name, floats, huge and empty sizes."""
    rgb = Image.new("RGB", (8, 8), "red")
    bombs = [png(w, h, bits, kind) for w, h in ((2**31 - 1,) * 2, (60_000, 60_000), (0, 5),
                                                (12_000, 9_000), (1, 2**31 - 1), (100_000_001, 1))
             for bits, kind in ((8, 2), (16, 0), (1, 0))]
    text = b"\x00\x00" + zlib.compress(bytes(80_000_000))  # 80 kB that unpack to 80 MB of text
    return [b"", b"\x89PNG\r\n\x1a\n", *bombs, png(8, 8, chunk=(b"zTXt", b"k" + text)),
            png(8, 8, chunk=(b"iCCP", b"k" + text)), png(8, 8, chunk=(b"eXIf", b"II*\x00\xff\xff")),
            *(_encoded(rgb, form) for form in ("GIF", "WEBP", "PPM", "ICO", "PDF", "EPS", "TGA")),
            _encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"),
            _encoded(Image.fromarray(np.full((8, 8), -7, np.int32)), "TIFF"),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n",
            b"BM" + struct.pack("<IHHIIiiHHIIIIII", 99, 0, 0, 54, 40, 60_000, -60_000, 1, 24, 0, 0,
                                1, 1, 0, 0)]


def png(width: int, height: int, bits: int = 8, kind: int = 2,
        chunk: tuple[bytes, bytes] | None = None) -> bytes:
    """A PNG that says to have this size; its pixels are a kilobyte of zeros, whatever that is."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *([chunk] if chunk else []),
              (b"IDAT", zlib.compress(bytes(1024))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks)


# -- tensors and arrays --


def state() -> dict[str, torch.Tensor]:
    return {"conv.weight": torch.arange(24.0).view(2, 3, 2, 2), "bn.num_batches_tracked":
            torch.tensor(3), "half": torch.ones(4, dtype=torch.bfloat16)}


def saved(content: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def weights() -> list[bytes]:
    old = {"_use_new_zipfile_serialization": False}
    trained = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state().items()}}
    return [saved(state()), saved(state(), **old), saved(trained)]


def weight_cases(trace: Path) -> list[bytes]:
    """Pickles that would run something, archives without or with too much in them, odd tensors."""
    evil = [pickle.dumps(Evil(trace), protocol=p) for p in range(6)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("archive/data.pkl", evil[2])
        file.writestr("archive/version", "3\n")
    global_call = b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR."
    return [b"", *evil, packed.getvalue(), global_call, b"\x80\x02cbuiltins\neval\nX\x01\x00\x00"
            b"\x00" + b"1\x85R.", saved([1, 2]), saved({"a": 1}), saved({1: torch.ones(1)}),
            saved({"a": torch.ones(2).to_sparse()}), saved({"a": torch.empty(9, device="meta")}),
            saved({"a": torch.ones(1).expand(1 << 40)}), saved(torch.ones(1)),
            saved({"\x1b[2J\n.conv.weight": state()["conv.weight"]}),
            saved({str(i): state() for i in range(9)}), saved({"conv.weight": torch.ones(3, 3)}),
            b"(" * 100_000 + b".", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."]


def tensors() -> list[bytes]:
    return [save(state()), save({"a": torch.zeros(3)})]


def tensor_cases() -> list[bytes]:
    def made(header: bytes, size: int | None = None, data: bytes = bytes(8)) -> bytes:
        return struct.pack("<Q", len(header) if size is None else size) + header + data

    def one(dtype: str, shape: list[int], offsets: list[int]) -> bytes:
        return made(json.dumps({"a": {"dtype": dtype, "shape": shape,
                                      "data_offsets": offsets}}).encode())
    return [b"", made(b"{}"), made(b"[]"), made(b"{", 2**63), made(b"{}", 2**40),
            made(b"[" * 100_000), one("F32", [2**62, 4], [0, 8]), one("F32", [2], [8, 0]),
            one("F32", [2], [0, 2**60]), one("XX", [2], [0, 8]), one("F64", [-1], [0, 8]),
            one("BOOL", [8], [0, 8]), one("F32", [0], [0, 0])]


def arrays() -> list[bytes]:
    return [npy(RNG(3).random((4, 8, 8), np.float32)), npy(np.zeros((8, 8))),
            npy(np.asfortranarray(RNG(4).random((8, 8), np.float32)))]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def array_cases(trace: Path) -> list[bytes]:
    def header(text: str, data: bytes = bytes(64)) -> bytes:
        padded = text.encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + data

    def shape(text: str, kind: str = "<f4") -> bytes:
        return header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {text}}}")
    packed = io.BytesIO()
    np.savez(packed, a=np.zeros(3))
    objects = io.BytesIO()
    np.save(objects, np.array([Evil(trace)], object), allow_pickle=True)
    return [b"", packed.getvalue(), objects.getvalue(), shape("(99999999999, 8, 8)"), shape("(4,)"),
            shape("(-1, 8)"), shape("(2**62, 4, 8)"), shape("()"), shape("(0, 8, 8)"),
            shape("(1, 8, 1)", "|O"), shape("(1, 8)", "<c8"), shape("(1, 4)", "<M8[s]"),
            header("(" * 3000), header("__import__('os')"), header("{'descr': [('a', '<f4')], "
                                                                   "'fortran_order': False, "
                                                                   "'shape': (4,)}"),
            pickle.dumps(Evil(trace))]
