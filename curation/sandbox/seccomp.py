"""A seccomp filter for the sandbox, assembled here: a list of refused system calls.

The kernel takes classic BPF. The filter refuses with EPERM what no solution to a programming
problem needs and what escapes were made of; sockets other than UNIX ones get EAFNOSUPPORT;
another architecture's calls kill the process. Numbers are from the kernel's syscall tables.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_AF_UNIX, _TIOCSTI, _TIOCLINUX = 1, 0x5412, 0x541C
_X32 = 0x40000000
# Offsets in struct seccomp_data: number, architecture, low half of the first two arguments.
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24

# Same numbers on all architectures: io_uring, the new mount calls, pidfd_getfd.
_COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)


_CLONE3 = 435


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit: int
    socket: int
    ioctl: int
    refused: tuple[int, ...]


# In order: ptrace mount umount2 swapon swapoff reboot init_module delete_module acct pivot_root
# chroot quotactl add_key request_key keyctl unshare perf_event_open name_to_handle_at
# open_by_handle_at setns process_vm_readv process_vm_writev kcmp finit_module kexec_load
# kexec_file_load bpf userfaultfd personality clock_settime settimeofday fanotify_init
_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E, 41, 16,
        (101, 165, 166, 167, 168, 169, 175, 176, 163, 155, 161, 179, 248, 249, 250, 272, 298, 303,
         304, 308, 310, 311, 312, 313, 246, 320, 321, 323, 135, 227, 164, 300),
    ),
    "aarch64": _Architecture(
        0xC00000B7, 198, 29,
        (117, 40, 39, 224, 225, 142, 105, 106, 89, 41, 51, 60, 217, 218, 219, 97, 241, 264,
         265, 268, 270, 271, 272, 273, 104, 294, 280, 282, 92, 112, 170, 262),
    ),
}  # fmt: skip


def program(machine: str | None = None) -> bytes:
    """The filter as bwrap's ``--seccomp`` reads it; ValueError for an unknown architecture."""
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        raise ValueError(f"no seccomp filter for {machine or platform.machine()}")
    steps = [
        _step(_LOAD, _ARCH),
        _step(_EQUAL, known.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _KILL),
    ]
    for number in (*known.refused, *_COMMON):
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | _EPERM)]
    # Its flags lie in memory, where a filter cannot look; the C library then uses the older call.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERRNO | _ENOSYS)]
    steps += _only_unix_sockets(known.socket) + _no_terminal_input(known.ioctl)
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _only_unix_sockets(number: int) -> list[bytes]:
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARG0),
        _step(_EQUAL, _AF_UNIX, 1, 0),
        _step(_RETURN, _ERRNO | _EAFNOSUPPORT),
        _step(_RETURN, _ALLOW),
    ]


def _no_terminal_input(number: int) -> list[bytes]:
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARG1),
        _step(_EQUAL, _TIOCSTI, 1, 0),
        _step(_EQUAL, _TIOCLINUX, 0, 1),
        _step(_RETURN, _ERRNO | _EPERM),
    ]


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
