//! Which system calls a trace stops at, where their paths and descriptors are, and the seccomp filter that stops there.
//!
//! Only calls that change the disk, or ask it for something that it can refuse. Absent on purpose: calls on memory,
//! sockets and clocks, and changes through a shared mapping (the service makes none).
//! Invariant: a call that is not in [`table`] runs at full speed and is never counted.

/// Where a call's arguments name files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `call(path, ..)`.
    Path,
    /// `call(dirfd, path, ..)`.
    At,
    /// `call(old, new)`.
    TwoPaths,
    /// `call(olddirfd, old, newdirfd, new, ..)`.
    TwoAt,
    /// `symlink(target, path)`: the target is only text.
    TextThenPath,
    /// `symlinkat(target, dirfd, path)`.
    TextThenAt,
    /// `call(fd, ..)`.
    Descriptor,
    /// `copy_file_range(from, _, to, ..)`.
    TwoDescriptors,
    /// `openat(dirfd, path, flags, ..)`.
    OpenAt,
    /// `openat2(dirfd, path, how, ..)`.
    OpenAt2,
    /// `open(path, flags, ..)`.
    Open,
}

/// What a call does to the disk, as far as a fault is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Writes bytes or makes a name: a full disk refuses it.
    Grows,
    /// Changes the disk without needing room, syncs it or locks it.
    Changes,
    /// Only reads, but can fail.
    Reads,
}

/// Which calls a trace counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that change the disk, sync it or lock it.
    Changes,
    /// Also opening for reading, reading and listing.
    Failable,
}

/// One system call of the table.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name, as in `man 2`.
    pub name: &'static str,
    /// Its number on this machine.
    pub number: i64,
    /// Where its paths are.
    pub shape: Shape,
    /// What it does. Opening for reading is [`Kind::Reads`] whatever stands here: see `step.rs`.
    pub kind: Kind,
}

/// All calls that a trace of this scope stops at.
pub fn table(scope: Scope) -> Vec<Call> {
    let mut calls = changing();
    calls.extend(old_spellings());
    if scope == Scope::Failable {
        calls.extend(reading());
    }
    calls
}

fn call(name: &'static str, number: i64, shape: Shape, kind: Kind) -> Call {
    Call { name, number, shape, kind }
}

fn changing() -> Vec<Call> {
    use Kind::{Changes, Grows};
    vec![
        call("openat", libc::SYS_openat, Shape::OpenAt, Grows),
        call("openat2", libc::SYS_openat2, Shape::OpenAt2, Grows),
        call("write", libc::SYS_write, Shape::Descriptor, Grows),
        call("pwrite64", libc::SYS_pwrite64, Shape::Descriptor, Grows),
        call("writev", libc::SYS_writev, Shape::Descriptor, Grows),
        call("pwritev", libc::SYS_pwritev, Shape::Descriptor, Grows),
        call("pwritev2", libc::SYS_pwritev2, Shape::Descriptor, Grows),
        call("copy_file_range", libc::SYS_copy_file_range, Shape::TwoDescriptors, Grows),
        call("sendfile", libc::SYS_sendfile, Shape::Descriptor, Grows),
        call("fallocate", libc::SYS_fallocate, Shape::Descriptor, Grows),
        call("ftruncate", libc::SYS_ftruncate, Shape::Descriptor, Changes),
        call("truncate", libc::SYS_truncate, Shape::Path, Changes),
        call("fsync", libc::SYS_fsync, Shape::Descriptor, Changes),
        call("fdatasync", libc::SYS_fdatasync, Shape::Descriptor, Changes),
        call("syncfs", libc::SYS_syncfs, Shape::Descriptor, Changes),
        call("flock", libc::SYS_flock, Shape::Descriptor, Changes),
        call("fchmod", libc::SYS_fchmod, Shape::Descriptor, Changes),
        call("fchmodat", libc::SYS_fchmodat, Shape::At, Changes),
        call("utimensat", libc::SYS_utimensat, Shape::At, Changes),
        call("renameat2", libc::SYS_renameat2, Shape::TwoAt, Changes),
        call("unlinkat", libc::SYS_unlinkat, Shape::At, Changes),
        call("mkdirat", libc::SYS_mkdirat, Shape::At, Grows),
        call("linkat", libc::SYS_linkat, Shape::TwoAt, Grows),
        call("symlinkat", libc::SYS_symlinkat, Shape::TextThenAt, Grows),
    ]
}

/// The calls that newer machines spell only with a folder descriptor.
#[cfg(target_arch = "x86_64")]
fn old_spellings() -> Vec<Call> {
    use Kind::{Changes, Grows};
    vec![
        call("open", libc::SYS_open, Shape::Open, Grows),
        call("renameat", libc::SYS_renameat, Shape::TwoAt, Changes),
        call("rename", libc::SYS_rename, Shape::TwoPaths, Changes),
        call("unlink", libc::SYS_unlink, Shape::Path, Changes),
        call("rmdir", libc::SYS_rmdir, Shape::Path, Changes),
        call("mkdir", libc::SYS_mkdir, Shape::Path, Grows),
        call("link", libc::SYS_link, Shape::TwoPaths, Grows),
        call("symlink", libc::SYS_symlink, Shape::TextThenPath, Grows),
        call("chmod", libc::SYS_chmod, Shape::Path, Changes),
    ]
}

#[cfg(target_arch = "aarch64")]
fn old_spellings() -> Vec<Call> {
    Vec::new()
}

fn reading() -> Vec<Call> {
    vec![
        call("read", libc::SYS_read, Shape::Descriptor, Kind::Reads),
        call("pread64", libc::SYS_pread64, Shape::Descriptor, Kind::Reads),
        call("getdents64", libc::SYS_getdents64, Shape::Descriptor, Kind::Reads),
        call("newfstatat", libc::SYS_newfstatat, Shape::At, Kind::Reads),
        call("fstat", libc::SYS_fstat, Shape::Descriptor, Kind::Reads),
    ]
}

/// The seccomp program: the table's calls go to the tracer, all others run. (`man 2 seccomp`, `linux/seccomp.h`.)
pub fn filter(calls: &[Call]) -> Vec<libc::sock_filter> {
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |what| statement(libc::BPF_RET | libc::BPF_K, what);
    let mut program = vec![load(ARCHITECTURE), skip_unless_equal(THIS_ARCHITECTURE, 1, 0)];
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program.push(load(NUMBER));
    for call in calls {
        let number = u32::try_from(call.number).expect("system call numbers are small");
        program.push(skip_unless_equal(number, 0, 1));
        program.push(answer(libc::SECCOMP_RET_TRACE));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

#[cfg(target_arch = "x86_64")]
const THIS_ARCHITECTURE: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64, linux/audit.h
#[cfg(target_arch = "aarch64")]
const THIS_ARCHITECTURE: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn skip_unless_equal(k: u32, if_equal: u8, if_not: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: if_equal, jf: if_not, k }
}
