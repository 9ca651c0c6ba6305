"""The system calls that decoding needs none of, refused by a seccomp filter: sockets, processes."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

CLONE_THREAD = 0x10000
X32 = 0x40000000

# Numbers of linux/seccomp.h and linux/filter.h.
SET_MODE_FILTER = 1
ALL_THREADS, KEEP_SPECULATION = 1, 4
LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16


# The calls that are refused, with their numbers on x86_64 and aarch64.
# fmt: off
REFUSED = (
    (41, 198),                                      # socket
    (425, 425),                                     # io_uring_setup
    (57, None), (58, None),                         # fork, vfork
    (59, 221), (322, 281),                          # execve, execveat
    (101, 117), (310, 270), (311, 271), (312, 272), # ptrace, process_vm_readv, _writev, kcmp
    (200, 130), (129, 138), (297, 240),             # tkill, rt_sigqueueinfo, rt_tgsigqueueinfo
    (424, 424), (434, 434), (438, 438),             # pidfd_send_signal, _open, _getfd
    (90, None), (91, 52), (268, 53), (452, 452),    # chmod, fchmod, fchmodat, fchmodat2
    (92, None), (93, 55), (94, None), (260, 54),    # chown, fchown, lchown, fchownat
    (132, None), (235, None), (261, None),          # utime, utimes, futimesat
    (280, 88),                                      # utimensat
    (188, 5), (189, 6), (190, 7), (463, 463),       # setxattr, lsetxattr, fsetxattr, setxattrat
    (272, 97), (308, 268), (155, 41), (161, 51),    # unshare, setns, pivot_root, chroot
    (165, 40), (166, 39), (304, 265),               # mount, umount2, open_by_handle_at
    (321, 280), (298, 241), (323, 282),             # bpf, perf_event_open, userfaultfd
    (248, 217), (249, 218), (250, 219),             # add_key, request_key, keyctl
)
# For this process alone: kill, tgkill. For threads alone: clone.
OWN = ((62, 129), (234, 131))
CLONE = (56, 220)
CLONE3 = 435
SECCOMP = (317, 277)
AUDIT = (0xC000003E, 0xC00000B7)
# fmt: on
MACHINES = ("x86_64", "aarch64")

_libc = ctypes.CDLL(None, use_errno=True)


def forbid(*, forks: bool = False) -> bool:
    """Refuse sockets, processes, programs and what reaches other processes, in every thread.

    With ``forks`` it may multiply, and no more: what it forks is confined as it is.
    Refused calls fail with EPERM, ``clone3`` with ENOSYS, on which libraries fall back to
    ``clone``, whose flags can be read. False where the kernel or the architecture has no part in
    it. Needs ``no_new_privs``.
    """
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    column = MACHINES.index(platform.machine())
    code = _program(column, os.getpid(), forks=forks)
    text = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(text))
    answer: int = _libc.syscall(
        ctypes.c_long(SECCOMP[column]),
        ctypes.c_long(SET_MODE_FILTER),
        ctypes.c_long(ALL_THREADS | KEEP_SPECULATION),
        ctypes.c_char_p(program),
    )
    return answer == 0


def _program(column: int, pid: int, *, forks: bool) -> bytes:
    refuse = _one(ANSWER, REFUSE | errno.EPERM)
    code = [
        _one(LOAD, ARCHITECTURE),
        _one(EQUAL, AUDIT[column], yes=1),
        _one(ANSWER, KILL),
        _one(LOAD, NUMBER),
        _one(AT_LEAST, X32, no=1),
        refuse,
    ]
    for call in REFUSED:
        number = call[column]
        code += [] if number is None else [_one(EQUAL, number, no=1), refuse]
    code += [_one(EQUAL, CLONE3, no=1), _one(ANSWER, REFUSE | errno.ENOSYS)]
    allowed = [] if forks else [(CLONE[column], ANY_BIT, CLONE_THREAD)]
    allowed += [(call[column], EQUAL, pid) for call in OWN]
    for number, how, value in allowed:
        code += [
            _one(EQUAL, number, no=4),
            _one(LOAD, FIRST_ARGUMENT),
            _one(how, value, no=1),
            _one(ANSWER, ALLOW),
            refuse,
        ]
    return b"".join([*code, _one(ANSWER, ALLOW)])


def _one(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Write one instruction; ``yes`` and ``no`` are how many are left out after a comparison."""
    return struct.pack("=HBBI", code, yes, no, value)
