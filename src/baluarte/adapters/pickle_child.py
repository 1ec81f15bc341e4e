"""The child process that unpickles a model and hands back data: ``python -m`` this, nothing else.

A pickle is a program. It runs here after the process has given up sockets, other programs and most
of its memory, and what leaves is a file in a format that is data, read like anybody else's.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import os
import platform
import resource
import struct
import sys
from typing import Any

MEMORY_BYTES = 8 << 30
CPU_S = 300
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF
#: AUDIT_ARCH and the numbers of socket, socketpair, connect, execve, execveat, ptrace, bpf,
#: unshare, io_uring_setup, kill, process_vm_writev; Source: Linux's unistd tables
_ARCHITECTURES = {
    "x86_64": (0xC000003E, (41, 53, 42, 59, 322, 101, 321, 272, 425, 62, 311)),
    "aarch64": (0xC00000B7, (198, 199, 203, 221, 281, 117, 280, 97, 425, 129, 271)),
}


def confine() -> str:
    """Give up network, other programs and most memory; how, in words.

    What the kernel refuses to enforce is said, never passed over.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    limits = f"at most {MEMORY_BYTES >> 30} GiB and {CPU_S} s"
    known = _ARCHITECTURES.get(platform.machine())
    if known is None or sys.platform != "linux":
        return f"network NOT cut off (no filter for {platform.machine()} here), {limits}"
    if not _filter(*known):
        return f"network NOT cut off (the kernel refused the filter), {limits}"
    return f"no network and no other programs (seccomp), {limits}"


def _filter(architecture: int, refused: tuple[int, ...]) -> bool:
    """Let the kernel refuse these system calls from now on, in every thread to come."""
    n = len(refused)
    lines = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, n + 3, architecture),  # another one: refuse
        (_LOAD, 0, 0, 0),  # the number of the call
        (_AT_LEAST, n + 1, 0, 0x40000000),  # x32's numbers: refuse
        *((_EQUAL, n - i, 0, number) for i, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    program = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("@HxxxxxxQ", len(lines), ctypes.addressof(program)), 16
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(header), 0, 0) == 0)


def as_data(model: Any) -> tuple[str, bytes]:
    """The model in a format that is data, with a name that says which.

    Raises:
        TypeError: a model that has none.
    """
    module = type(model).__module__.partition(".")[0]
    if module == "lightgbm":
        booster = getattr(model, "booster_", model)
        return "model.txt", booster.model_to_string().encode()
    if module == "xgboost":
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        return "model.ubj", bytes(booster.save_raw("ubj"))
    if module == "sklearn":
        skops = importlib.import_module("skops.io")
        return "model.skops", skops.dumps(model)
    raise TypeError(f"{type(model).__module__}.{type(model).__qualname__}")


def unpickled(data: bytes) -> Any:
    """The object that a pickle or a joblib file makes."""
    import pickle  # noqa: PLC0415 - the one place that unpickles, by the user's word

    try:
        joblib = importlib.import_module("joblib")
    except ModuleNotFoundError:
        return pickle.loads(data)  # noqa: S301 - likewise
    return joblib.load(io.BytesIO(data))


def main() -> None:
    """Read a pickle from the first descriptor; answer on a copy of the second."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the pickle prints must not get into the answer
    data = sys.stdin.buffer.read()
    how = confine()
    try:
        name, made = as_data(unpickled(data))
        head = f"ok\n{name}\n{how}\n"
    except TypeError as error:
        made, head = b"", f"unknown\n{error}\n{how}\n"
    except Exception as error:  # noqa: BLE001 - a pickle can raise anything
        made, head = b"", f"failed\n{type(error).__name__}: {error!s:.300}\n{how}\n"
    answers.write(head.replace("\r", " ").encode() + made)
    answers.flush()
    os._exit(0)  # nothing that the pickle left behind runs


if __name__ == "__main__":
    main()
