"""What the compiler made of the kernels: the inner loops of the products stay in registers, and nothing calls libm.

The loops looked at are the innermost ones with packed multiply-adds in the functions named in PRODUCTS, but for those
that divide, call or branch: there an activation runs. A product knows neither.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.sources import CPP, objects

PRODUCTS = {
    "multiply_rows",
    "gemm_tile",
    "outer_columns",
    "single_row_panels",
    "single_row_product",
}
FROM_C = {"memcpy", "memset", "memmove"}
FLAGS = {"avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
WIDTH = {"avx2": 32, "avx512": 64}

PACKED_FMA = re.compile(r"vfn?m(?:add|sub)\d+p[sd]\b")
SCALAR_FMA = re.compile(r"vfn?m(?:add|sub)\d+s[sd]\b")
FAULTS = {
    "broadcasts from a register": re.compile(r"vbroadcasts[sd]\s+%xmm"),
    "stores a vector to the stack": re.compile(r"v\w+\s+.*%[yz]mm\d+(?:\{.*\})?,-?(?:0x[0-9a-f]+)?\(%r[sb]p"),
    "reads a vector from the stack": re.compile(r"v(?!broadcast)\w+\s+-?(?:0x[0-9a-f]+)?\(%r[sb]p[^)]*\),.*%[yz]mm"),
    "multiplies and adds single numbers": SCALAR_FMA,
}

Instructions = list[tuple[int, str]]
needs_objdump = pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")


@cache
def disassembly(path: Path) -> str:
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def functions(listing: str) -> Iterator[tuple[str, Instructions]]:
    """Name, and (address, instruction) of every function."""
    for part in re.split(r"^[0-9a-f]+ <(?=.*>:$)", listing, flags=re.M)[1:]:
        name, _, body = part.partition(">:\n")
        lines = re.findall(r"^\s*([0-9a-f]+):\t(.+)$", body, re.M)
        yield name, [(int(address, 16), text.strip()) for address, text in lines]


def kernel_name(name: str) -> str:
    """``void rnnfast::avx2::gemm_tile<float, 6, 2>(...)`` is gemm_tile."""
    found = re.search(r"rnnfast::\w+::(\w+)", name)
    return found[1] if found else name


def inner_loops(body: Instructions) -> Iterator[list[str]]:
    """The instructions between a jump backwards and its target that contain no such jump."""
    index = {address: i for i, (address, _) in enumerate(body)}
    jumps = [(i, re.match(r"j\w+\s+([0-9a-f]+)\b", text)) for i, (_, text) in enumerate(body)]
    spans = [(index[int(m[1], 16)], i) for i, m in jumps if m and index.get(int(m[1], 16), i + 1) <= i]
    for first, last in spans:
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in spans):
            yield [text for _, text in body[first : last + 1]]


def product_loops(listing: str) -> Iterator[tuple[str, list[str]]]:
    for name, body in functions(listing):
        if kernel_name(name) in PRODUCTS:
            for loop in inner_loops(body):
                branches = sum(text.startswith("j") for text in loop) > 1
                activation = branches or any(text.startswith(("vdiv", "call")) for text in loop)
                if not activation and any(PACKED_FMA.match(text) for text in loop):
                    yield name, loop


def faults(listing: str) -> list[str]:
    found = [
        f"{name} {what}: {text}"
        for name, loop in product_loops(listing)
        for text in loop
        for what, pattern in FAULTS.items()
        if pattern.match(text)
    ]
    for name, body in functions(listing):
        if kernel_name(name) in PRODUCTS and any(SCALAR_FMA.match(text) for _, text in body):
            found.append(f"{name} multiplies and adds single numbers")
    return found


def optimised(path: Path) -> bool:
    caches = [folder / "CMakeCache.txt" for folder in path.parents]
    text = next((cache.read_text() for cache in caches if cache.is_file()), "")
    return not re.search(r"^CMAKE_BUILD_TYPE:\w+=Debug$", text, re.M)


def kernel_objects(isa: str) -> list[Path]:
    if not shutil.which("objdump"):
        pytest.skip("needs objdump")
    found = [path for name, path in objects() if name == isa and optimised(path)]
    if not found:
        pytest.skip(f"no optimised object files of {isa}: set RNNFAST_BUILD_DIR, or build below the checkout")
    return found


@pytest.mark.parametrize("isa", FLAGS)
def test_inner_loops_stay_in_registers(isa: str) -> None:
    for path in kernel_objects(isa):
        listing = disassembly(path)
        seen = {kernel_name(name) for name, _ in product_loops(listing)}
        assert seen >= PRODUCTS, f"{path}: no inner loop with multiply-adds in {PRODUCTS - seen}"
        assert not faults(listing), path


@pytest.mark.parametrize("isa", FLAGS)
def test_a_tile_takes_one_instruction_an_accumulator(isa: str) -> None:
    """MR x NV multiply-adds a turn, MR broadcasts from memory: none is made twice, none by halves."""
    register = "zmm" if isa == "avx512" else "ymm"
    for path in kernel_objects(isa):
        for name, loop in product_loops(disassembly(path)):
            tile = re.search(r"::(?:multiply_rows|gemm_tile)<\w+, (\d+), (\d+)", name)
            if tile:
                fma = [text for text in loop if PACKED_FMA.match(text)]
                assert len(fma) == int(tile[1]) * int(tile[2]), name
                assert all(register in text for text in fma), name


@pytest.mark.parametrize("isa", FLAGS)
def test_kernels_call_no_mathematics_of_the_c_library(isa: str) -> None:
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    for path in kernel_objects(isa):
        listing = subprocess.run(["nm", "-u", path], capture_output=True, text=True, check=True).stdout
        assert {line.split()[-1] for line in listing.splitlines() if line.strip()} <= FROM_C, path


TILE = """
#include "{header}"
namespace rnnfast::RNNFAST_ISA {{
void use(const float* const* a, Index inner, const float* b, const float* start, Tile<float>& tile) {{
  multiply_rows<float, {rows}, {vectors}, true>(a, inner, b, start, tile);
}}
}}
"""


@needs_objdump
@pytest.mark.parametrize(
    ("isa", "fits", "rows", "vectors"),
    [
        ("avx2", True, 6, 2),
        ("avx2", False, 8, 2),
        ("avx512", True, 6, 4),
        ("avx512", False, 8, 4),
    ],
)
def test_a_tile_too_large_for_the_registers_is_seen(
    isa: str, fits: bool, rows: int, vectors: int, tmp_path: Path
) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if not compiler:
        pytest.skip("needs a C++ compiler")
    source, result = tmp_path / "tile.cpp", tmp_path / "tile.o"
    source.write_text(TILE.format(header=CPP / "simd" / "gemm-inl.hpp", rows=rows, vectors=vectors))
    header = f'-DRNNFAST_VEC_HEADER="vec_{isa}-inl.hpp"'
    macros = [f"-DRNNFAST_ISA={isa}", header, f"-DRNNFAST_VECTOR_BYTES={WIDTH[isa]}"]
    flags = ["-std=c++17", "-O3", "-ffp-contract=off", *FLAGS[isa], *macros]
    done = subprocess.run([compiler, *flags, "-c", source, "-o", result], capture_output=True, text=True, check=False)
    if "-march" in done.stderr:
        pytest.skip(f"the compiler does not know {isa}")
    assert done.returncode == 0, done.stderr
    listing = disassembly(result)
    assert list(product_loops(listing))
    assert (not faults(listing)) == fits


LOOP = """
0000000000000000 <void rnnfast::avx512::gemm_tile<float, 1, 1>(float const* const*)>:
       0:	xor    %eax,%eax
       2:	{first}
       8:	vfmadd231ps (%rdx,%rax,1),%zmm0,%zmm1
       f:	{last}
      18:	jne    2 <void rnnfast::avx512::gemm_tile<float, 1, 1>(float const* const*)+0x2>
      1a:	vmovaps %zmm1,0x40(%rsp)
      22:	ret
"""


@pytest.mark.parametrize("first", ["vbroadcastss (%rsi,%rax,1),%zmm0", "vbroadcastss 0x40(%rsp),%zmm0"])
def test_a_sound_loop_is_sound(first: str) -> None:
    """Code around the loop may use the stack, and a broadcast may read a number from it."""
    assert len(list(product_loops(LOOP.format(first=first, last="add $0x4,%rax")))) == 1
    assert not faults(LOOP.format(first=first, last="add $0x4,%rax"))


@pytest.mark.parametrize(
    "fault",
    [
        "vbroadcastss %xmm5,%zmm0",
        "vmovaps %zmm1,0x40(%rsp)",
        "vmovups %ymm1,-0x40(%rbp)",
        "vmovaps 0x40(%rsp),%zmm7",
        "vfmadd231ps 0x40(%rsp),%zmm0,%zmm1",
        "vfmadd231ss (%rdx),%xmm0,%xmm1",
    ],
)
def test_a_planted_instruction_is_seen(fault: str) -> None:
    assert faults(LOOP.format(first=fault, last="add $0x4,%rax"))
