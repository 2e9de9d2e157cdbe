//! The registers and the memory of a stopped thread: all that differs between processors.
//!
//! Invariant: a thread is in a ptrace stop when a function here is given its id.

use std::io;
use std::mem::{MaybeUninit, size_of};

/// A thread's id, as the kernel says it.
pub type Tid = libc::pid_t;

/// The type of ptrace's first argument, which the C libraries do not agree on.
#[cfg(target_env = "musl")]
pub type Request = libc::c_int;
#[cfg(not(target_env = "musl"))]
pub type Request = libc::c_uint;

/// The registers of a thread that stands before a system call.
pub struct Registers {
    tid: Tid,
    raw: libc::user_regs_struct,
}

impl Registers {
    /// Reads them.
    pub fn of(tid: Tid) -> io::Result<Self> {
        let mut raw = MaybeUninit::<libc::user_regs_struct>::zeroed();
        regset(libc::PTRACE_GETREGSET, tid, NT_PRSTATUS, raw.as_mut_ptr().cast(), size_of::<libc::user_regs_struct>())?;
        // SAFETY: zeroed is a valid value of this struct of integers, and the kernel has filled it.
        Ok(Self { tid, raw: unsafe { raw.assume_init() } })
    }

    fn store(&mut self) -> io::Result<()> {
        let size = size_of::<libc::user_regs_struct>();
        regset(libc::PTRACE_SETREGSET, self.tid, NT_PRSTATUS, (&raw mut self.raw).cast(), size)
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// The number of the call.
    pub fn number(&self) -> i64 {
        self.raw.orig_rax as i64
    }

    /// Its arguments.
    pub fn arguments(&self) -> [u64; 6] {
        [self.raw.rdi, self.raw.rsi, self.raw.rdx, self.raw.r10, self.raw.r8, self.raw.r9]
    }

    /// Makes the kernel skip the call and return `-errno` (`man 2 seccomp`, SECCOMP_RET_TRACE).
    pub fn refuse(&mut self, errno: i32) -> io::Result<()> {
        self.raw.orig_rax = u64::MAX;
        self.raw.rax = i64::from(-errno) as u64;
        self.store()
    }

    /// Replaces the third argument: the length of a write.
    pub fn set_third(&mut self, value: u64) -> io::Result<()> {
        self.raw.rdx = value;
        self.store()
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// The number of the call.
    pub fn number(&self) -> i64 {
        self.raw.regs[8] as i64
    }

    /// Its arguments.
    pub fn arguments(&self) -> [u64; 6] {
        let r = &self.raw.regs;
        [r[0], r[1], r[2], r[3], r[4], r[5]]
    }

    /// Makes the kernel skip the call and return `-errno` (`man 2 seccomp`, SECCOMP_RET_TRACE).
    pub fn refuse(&mut self, errno: i32) -> io::Result<()> {
        const NT_ARM_SYSTEM_CALL: usize = 0x404; // linux/elf.h
        let mut none: libc::c_int = -1;
        regset(libc::PTRACE_SETREGSET, self.tid, NT_ARM_SYSTEM_CALL, (&raw mut none).cast(), size_of::<libc::c_int>())?;
        self.raw.regs[0] = i64::from(-errno) as u64;
        self.store()
    }

    /// Replaces the third argument: the length of a write.
    pub fn set_third(&mut self, value: u64) -> io::Result<()> {
        self.raw.regs[2] = value;
        self.store()
    }
}

const NT_PRSTATUS: usize = 1; // linux/elf.h: the general registers

fn regset(request: Request, tid: Tid, set: usize, data: *mut libc::c_void, size: usize) -> io::Result<()> {
    let mut area = libc::iovec { iov_base: data, iov_len: size };
    // SAFETY: `area` describes memory that the caller owns, of `size` bytes.
    let answer = unsafe { libc::ptrace(request, tid, set, &raw mut area) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The C string at `address` in the thread's memory, without its NUL.
pub fn read_text(tid: Tid, address: u64) -> io::Result<Vec<u8>> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    let mut at = address;
    while text.len() < libc::PATH_MAX as usize {
        // Never across a page: the next one need not be mapped.
        let length = (PAGE - at % PAGE) as usize;
        let piece = read_bytes(tid, at, length)?;
        if let Some(end) = piece.iter().position(|b| *b == 0) {
            text.extend_from_slice(&piece[..end]);
            return Ok(text);
        }
        text.extend_from_slice(&piece);
        at += length as u64;
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// `length` bytes at `address` in the thread's memory.
pub fn read_bytes(tid: Tid, address: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let there = libc::iovec { iov_base: address as usize as *mut libc::c_void, iov_len: length };
    // SAFETY: `here` is memory that we own; `there` is only read, and by the kernel.
    let got = unsafe { libc::process_vm_readv(tid, &raw const here, 1, &raw const there, 1, 0) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(got);
    if got == length { Ok(bytes) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
}
