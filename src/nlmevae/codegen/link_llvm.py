"""LLVM IR text -> addresses of machine code, with an on-disk cache of object files.

The cache key is everything the machine code depends on: IR text, CPU, its features, llvmlite and LLVM
versions. The folder is NLMEVAE_CACHE_DIR, by default ~/.cache/nlmevae; a folder that cannot be written
only costs the compilation time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

_FORMAT = "1"  # change when old cache entries must not be used any more


def host_width() -> int:
    """SIMD lanes that suit this CPU: 4 doubles with AVX, else 2 (SSE2, NEON)."""
    return 4 if llvm.get_host_cpu_features().get("avx") else 2


class MachineCode:
    """Compiled functions; the addresses are valid while this object lives.

    Args:
        ir: a module (print_llvm.module).
        names: functions whose addresses are wanted.
    """

    def __init__(self, ir: str, names: Sequence[str]) -> None:
        _initialise()
        path = cache_folder() / f"{_key(ir)}.o"
        code = _read(path)
        if code is None:
            code = _compile(ir)
            _write(path, code)
        # MCJIT owns its target machine: a fresh one per engine
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.address = {name: self._engine.get_function_address(name) for name in names}

    def close(self) -> None:
        self.address = {}
        self._engine.close()


def cache_folder() -> Path:
    configured = os.environ.get("NLMEVAE_CACHE_DIR")
    return Path(configured) if configured else Path(os.path.expanduser("~")) / ".cache" / "nlmevae"


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if llvm.address_of_symbol("erfc") is None:
        with contextlib.suppress(RuntimeError):
            llvm.load_library_permanently("libm.so.6")


def _target_machine() -> llvm.TargetMachine:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
        codemodel="jitdefault",
    )


def _compile(ir: str) -> bytes:
    machine = _target_machine()
    module = llvm.parse_assembly(ir)
    module.triple = llvm.get_default_triple()
    module.data_layout = str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = False
    tuning.slp_vectorization = False
    tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


@functools.cache
def _machine_identity() -> str:
    features = llvm.get_host_cpu_features().flatten()
    return "\n".join([_FORMAT, llvmlite.__version__, str(llvm.llvm_version_info), llvm.get_host_cpu_name(), features])


def _key(ir: str) -> str:
    return hashlib.sha256(f"{_machine_identity()}\n{ir}".encode()).hexdigest()


def _read(path: Path) -> bytes | None:
    """Object code, None if there is none or its checksum is wrong (a file cut short, say)."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == checksum else None


def _write(path: Path, code: bytes) -> None:
    """Atomic, so that another process never reads half a file."""
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path)
