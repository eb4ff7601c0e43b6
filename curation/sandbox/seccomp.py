"""A seccomp filter for the sandbox, assembled here: what is refused, and with which error.

The kernel takes classic BPF. Refused is what no solution to a programming problem needs and what
escapes were made of (EPERM); what holds memory that no process shows, or lets two runs signal each
other through the files they share (the error of a kernel without it, so that libraries fall back);
sockets other than UNIX streams (EAFNOSUPPORT). Another architecture's calls kill the process.
Numbers are from the kernel's syscall tables.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_EPERM, _ENOMEM, _ENOLCK, _ENOSYS, _EAFNOSUPPORT = 1, 12, 37, 38, 97
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32 = 0x40000000
# Offsets in struct seccomp_data: number, architecture, low half of the first argument.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

_AF_UNIX, _SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_KIND = 1, 1, 5, 0xF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SOL_SOCKET, _SO_SNDBUF = 1, 7
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_HUGETLB = 0x01, 0x20, 0x40000
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS
_FCNTL_ALLOWED = (0, 1, 2, 3, 4, 1030, 1032, 1034)
# F_GETLK, F_OFD_GETLK: they would tell of another run's locks. F_SETLK, F_SETLKW and F_OFD_*.
_FCNTL_ASKS_LOCK, _FCNTL_LOCKS = (5, 36), (6, 7, 37, 38)

# The largest MAP_SHARED|MAP_ANONYMOUS mapping. Its pages stay with the host as long as any part of
# it is mapped, and no process need show them, so each one is counted as this much (memory.py).
SHARED_MAP = 1024**2

_CLONE3 = 435
# Same numbers on all architectures: io_uring, the new mount calls, pidfd_getfd, quotactl_fd.
_COMMON_REFUSED = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 443)
# process_madvise, memfd_secret, cachestat (which pages of a shared file are in memory).
_COMMON_MISSING = (440, 447, 451)


@dataclass(frozen=True, slots=True)
class _Architecture:
    """Numbers of system calls, by name; ``audit`` is the kernel's mark of the architecture."""

    audit: int
    socket: int
    socketpair: int
    ioctl: int
    fcntl: int
    mmap: int
    setsockopt: int
    flock: int
    refused: tuple[int, ...]
    missing: tuple[int, ...]


# refused, in order: ptrace mount umount2 swapon swapoff reboot init_module delete_module acct
# pivot_root chroot quotactl add_key request_key keyctl unshare perf_event_open name_to_handle_at
# open_by_handle_at setns process_vm_readv process_vm_writev kcmp finit_module kexec_load
# kexec_file_load bpf userfaultfd personality clock_settime settimeofday fanotify_init syslog
# lookup_dcookie (fanotify_mark, inotify_add_watch need what is refused already)
# missing: memfd_create vmsplice shmget shmat semget msgget mq_open inotify_init1 preadv2 pwritev2
# remap_file_pages io_setup (its limit is one for the whole machine); x86_64 has inotify_init too
_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E, 41, 53, 16, 72, 9, 54, 73,
        (101, 165, 166, 167, 168, 169, 175, 176, 163, 155, 161, 179, 248, 249, 250, 272, 298, 303,
         304, 308, 310, 311, 312, 313, 246, 320, 321, 323, 135, 227, 164, 300, 103, 212),
        (319, 278, 29, 30, 64, 68, 240, 294, 327, 328, 216, 206, 253),
    ),
    "aarch64": _Architecture(
        0xC00000B7, 198, 199, 29, 25, 222, 208, 32,
        (117, 40, 39, 224, 225, 142, 105, 106, 89, 41, 51, 60, 217, 218, 219, 97, 241, 264,
         265, 268, 270, 271, 272, 273, 104, 294, 280, 282, 92, 112, 170, 262, 116, 18),
        (279, 75, 194, 196, 190, 186, 180, 26, 286, 287, 234, 0),
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
    # clone3's flags lie in memory, where a filter cannot look; the C library then uses clone.
    steps += _refuse((*known.refused, *_COMMON_REFUSED), _EPERM)
    steps += _refuse((*known.missing, *_COMMON_MISSING, _CLONE3), _ENOSYS)
    steps += _refuse((known.flock,), _ENOLCK)
    steps += _call(known.mmap, _mapping())
    steps += _call(known.fcntl, _descriptor_flags_only())
    steps += _only_unix_sockets(known.socket)
    steps += _only_unix_sockets(known.socketpair)
    steps += _call(known.setsockopt, _small_buffers())
    steps += _call(known.ioctl, _no_terminal_input())
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _refuse(numbers: Iterable[int], error: int) -> list[bytes]:
    steps = []
    for number in numbers:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | error)]
    return steps


def _call(number: int, body: list[bytes]) -> list[bytes]:
    """What is done for one call: ``body``, and where that decides nothing, it is allowed."""
    return [_step(_EQUAL, number, 0, len(body) + 1), *body, _step(_RETURN, _ALLOW)]


def _mapping() -> list[bytes]:
    """No huge pages; shared anonymous memory in pieces of at most SHARED_MAP.

    Flags are tested as the kernel reads them: it is the low bits that make a mapping shared.
    """
    return [
        _step(_LOAD, _argument(3)),
        _step(_ANY_BIT, _MAP_HUGETLB, 0, 1),
        _step(_RETURN, _ERRNO | _ENOMEM),
        _step(_ANY_BIT, _MAP_ANONYMOUS, 0, 6),
        _step(_ANY_BIT, _MAP_SHARED, 0, 5),
        _step(_LOAD, _argument(1) + 4),
        _step(_EQUAL, 0, 0, 2),
        _step(_LOAD, _argument(1)),
        _step(_AT_LEAST, SHARED_MAP + 1, 0, 1),
        _step(_RETURN, _ERRNO | _ENOMEM),
    ]


def _descriptor_flags_only() -> list[bytes]:
    """Of fcntl what concerns a descriptor, not the file, which other runs may share.

    A record lock "succeeds" and locks nothing, because SQLite does not go on without one; a
    question about locks, a lease, a watch or a larger pipe is refused.
    """
    allowed = _any_of(_FCNTL_ALLOWED, _ALLOW)
    locks = _any_of(_FCNTL_LOCKS, _ERRNO) + _any_of(_FCNTL_ASKS_LOCK, _ERRNO | _ENOLCK)
    return [_step(_LOAD, _argument(1)), *allowed, *locks, _step(_RETURN, _ERRNO | _EPERM)]


def _any_of(values: Iterable[int], result: int) -> list[bytes]:
    steps = []
    for value in values:
        steps += [_step(_EQUAL, value, 0, 1), _step(_RETURN, result)]
    return steps


def _only_unix_sockets(number: int) -> list[bytes]:
    """UNIX stream sockets alone: a datagram socket holds what many senders, long closed, sent."""
    return _call(
        number,
        [
            _step(_LOAD, _argument(0)),
            _step(_EQUAL, _AF_UNIX, 1, 0),
            _step(_RETURN, _ERRNO | _EAFNOSUPPORT),
            _step(_LOAD, _argument(1)),
            _step(0x54, _SOCK_KIND),
            _step(_EQUAL, _SOCK_STREAM, 2, 0),
            _step(_EQUAL, _SOCK_SEQPACKET, 1, 0),
            _step(_RETURN, _ERRNO | _EAFNOSUPPORT),
        ],
    )


def _small_buffers() -> list[bytes]:
    """Setting the size of a send buffer succeeds and changes nothing (kernels cap it anyway)."""
    return [
        _step(_LOAD, _argument(1)),
        _step(_EQUAL, _SOL_SOCKET, 0, 3),
        _step(_LOAD, _argument(2)),
        _step(_EQUAL, _SO_SNDBUF, 0, 1),
        _step(_RETURN, _ERRNO),
    ]


def _no_terminal_input() -> list[bytes]:
    return [
        _step(_LOAD, _argument(1)),
        _step(_EQUAL, _TIOCSTI, 1, 0),
        _step(_EQUAL, _TIOCLINUX, 0, 1),
        _step(_RETURN, _ERRNO | _EPERM),
    ]


def _argument(number: int) -> int:
    """Offset of the low half of an argument."""
    return _ARGUMENTS + 8 * number


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
