"""A seccomp filter: the system calls that a confined process keeps; the kernel refuses the others.

The filter is a classic BPF program, as ``seccomp(2)`` takes it (Linux' ``seccomp_filter.rst``).
Python's bindings of libseccomp need that library on the machine, which many do not have.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SET_MODE_FILTER = 1
ALL_THREADS = 1
"""`SECCOMP_FILTER_FLAG_TSYNC`: threads that exist already are confined too."""

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
"""`SECCOMP_RET_ALLOW`, `_ERRNO` (with the error's number in its low half) and `_KILL_PROCESS`."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""`BPF_LD|W|ABS`, `BPF_JMP|JEQ|K`, `|JGE|K`, `|JSET|K`, `BPF_RET|K`."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`; an argument takes 8 bytes, its low half first."""
_X32 = 0x40000000
"""Added to a call's number in the x32 ABI, whose audit number is x86-64's."""
_THREAD = 0x10000
"""`CLONE_THREAD`."""
_NAMESPACES = 0x7E020080
"""Every `CLONE_NEW*`."""
_OPENED_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True, slots=True)
class _Processor:
    audit: int
    """`AUDIT_ARCH_*` of ``linux/audit.h``."""
    filter: int
    """Number of ``seccomp(2)`` itself."""
    allowed: tuple[int, ...]
    """Calls without conditions; those that decoding makes most come first."""
    opening: Mapping[int, int]
    """Calls that open a file, and which argument has the flags."""
    own: tuple[int, ...]
    """Calls whose first argument must be 0, for the calling process: ``prlimit64``."""
    signalling: tuple[int, ...]
    """Calls whose first argument must be this process: ``tgkill``, by which it aborts."""
    threads: tuple[int, ...]
    """``clone``, whose first argument says what it makes; libde265 decodes in threads."""
    answered: Mapping[int, int]
    """Calls that are refused with another error than `EPERM`, by its number. ``ioctl``: Python asks
    whether a file that it opens is a terminal. ``clone3``, whose arguments no filter can see: glibc
    then uses ``clone``."""


_PROCESSORS: Mapping[str, _Processor] = MappingProxyType(
    {
        # asm/unistd_64.h: read write recvfrom sendto mmap munmap mremap brk madvise mprotect futex
        # clock_gettime alarm; then files: close fstat stat lstat newfstatat statx lseek pread64
        # readv writev access faccessat faccessat2 getdents64 readlink readlinkat getcwd fcntl dup
        # fadvise64; signals: rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack setitimer
        # restart_syscall; this process: exit exit_group getpid gettid getuid geteuid getgid getegid
        # getrusage times sysinfo uname getrlimit setrlimit sched_yield sched_getaffinity
        # set_robust_list rseq membarrier; time and chance: nanosleep clock_nanosleep clock_getres
        # gettimeofday time getrandom; its socket: poll ppoll select pselect6 getsockopt getsockname
        # recvmsg, by which its parent hands it descriptors
        "x86_64": _Processor(
            0xC000003E,
            317,
            (
                *(0, 1, 45, 44, 9, 11, 25, 12, 28, 10, 202, 228, 37),
                *(3, 5, 4, 6, 262, 332, 8, 17, 19, 20, 21, 269, 439, 217, 89, 267, 79, 72, 32, 221),
                *(13, 14, 15, 131, 38, 219),
                *(60, 231, 39, 186, 102, 107, 104, 108, 98, 100, 99, 63, 97, 160, 24, 204, 273),
                *(334, 324, 35, 230, 229, 96, 201, 318),
                *(7, 271, 23, 270, 55, 51, 47),
            ),
            {2: 1, 257: 2},
            (302,),
            (234,),
            (56,),
            {16: errno.ENOTTY, 435: errno.ENOSYS},
        ),
        # asm-generic/unistd.h: the same, as far as it has them.
        "aarch64": _Processor(
            0xC00000B7,
            277,
            (
                *(63, 64, 207, 206, 222, 215, 216, 214, 233, 226, 98, 113),
                *(57, 80, 79, 291, 62, 67, 65, 66, 48, 439, 61, 78, 17, 25, 23, 223),
                *(134, 135, 139, 132, 103, 128),
                *(93, 94, 172, 178, 174, 175, 176, 177, 165, 153, 179, 160, 163, 164, 124, 123, 99),
                *(293, 283, 101, 115, 114, 169, 278),
                *(73, 72, 209, 204, 212),
            ),
            {56: 2},
            (261,),
            (131,),
            (220,),
            {29: errno.ENOTTY, 435: errno.ENOSYS},
        ),
    }
)


class SeccompUnavailable(Exception):
    """The kernel or the processor has no filter that this module can install; says why."""


def install_filter() -> None:
    """Confine this process, for good, to computing, reading files and the descriptors that it has.

    Refused with `EPERM` are, among all others, new sockets and processes, programs, other
    processes' memory and signals, files opened to write, io_uring, BPF and namespaces. Threads are
    permitted, and confined as well. The process needs ``no_new_privs`` before.

    Raises:
        SeccompUnavailable: nothing is confined.
    """
    processor = _PROCESSORS.get(platform.machine())
    if sys.platform != "linux" or processor is None:
        raise SeccompUnavailable(f"no filter for {sys.platform} on {platform.machine()}")
    program = _program(processor)
    filters = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(processor.filter, SET_MODE_FILTER, ALL_THREADS, pointer):
        number = ctypes.get_errno()
        raise SeccompUnavailable(os.strerror(number) if number else "a thread has a filter already")


def _program(processor: _Processor) -> bytes:
    refuse, allow = _REFUSE | errno.EPERM, _ALLOW
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, processor.audit, then=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, other=1),
        _line(_RETURN, refuse),
    ]
    for number in processor.allowed:
        lines += _when(number, [_line(_RETURN, allow)])
    for number, flags in processor.opening.items():
        lines += _when(number, _argument(flags, _ANY_BIT, _OPENED_TO_WRITE, refuse, allow))
    for numbers, value in ((processor.own, 0), (processor.signalling, os.getpid())):
        for number in numbers:
            lines += _when(number, _argument(0, _EQUAL, value, allow, refuse))
    for number in processor.threads:
        plain = _argument(0, _ANY_BIT, _THREAD, allow, refuse)
        lines += _when(number, [*_argument(0, _ANY_BIT, _NAMESPACES, refuse), *plain])
    for number, error in processor.answered.items():
        lines += _when(number, [_line(_RETURN, _REFUSE | error)])
    lines.append(_line(_RETURN, refuse))
    return b"".join(lines)


def _when(number: int, then: list[bytes]) -> list[bytes]:
    return [_line(_EQUAL, number, other=len(then)), *then]


def _argument(
    place: int, test: int, value: int, then: int, other: int | None = None
) -> list[bytes]:
    """Return what ends with ``then`` or ``other``, by an argument's low half; or goes on."""
    tested = [
        _line(_LOAD, _ARGUMENTS + 8 * place),
        _line(test, value, other=1),
        _line(_RETURN, then),
    ]
    return tested if other is None else [*tested, _line(_RETURN, other)]


def _line(code: int, value: int, *, then: int = 0, other: int = 0) -> bytes:
    """Return a `struct sock_filter`; ``then`` and ``other`` are lines to skip."""
    return struct.pack("HBBI", code, then, other, value)
