//! Which system calls a verdict may make: those of a pure computation with threads.
//!
//! Two filters hold at once, and the stricter answer of both counts. The first ends the process at a call that only a
//! process makes which has been taken over. The second lets pass what a verdict needs and answers everything else with
//! "there is no such call": a C library or a kernel of another year may try a call that is on neither list, and has a
//! way without it.
//!
//! Invariant: what is on neither list has no effect.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use linux::install;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) fn install() -> Result<(), String> {
    Err("there is none for this system".to_owned())
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use std::collections::BTreeMap;

    use libc::c_long;
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule, apply_filter,
    };

    /// Calls whose arguments do not matter, because they reach nothing outside of the process.
    const NEEDED: &[c_long] = &[
        // Memory.
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // Threads and their end.
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_restart_syscall,
        libc::SYS_rseq,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        // Signals to itself: a stack that overflows, an abort.
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        // Time, and the seeds of hash tables.
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_gettimeofday,
        libc::SYS_nanosleep,
    ];

    /// Calls that no verdict makes, and no library below it.
    const FATAL: &[c_long] = &[
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_bind,
        libc::SYS_bpf,
        libc::SYS_connect,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_io_uring_setup,
        libc::SYS_kill,
        libc::SYS_listen,
        libc::SYS_mount,
        libc::SYS_openat2,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_sendmsg,
        libc::SYS_sendto,
        libc::SYS_setns,
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_tkill,
        libc::SYS_unshare,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork,
    ];

    type Calls = BTreeMap<c_long, Vec<SeccompRule>>;

    /// Installs both filters. Nothing but this thread may run yet.
    pub(in crate::sandbox) fn install() -> Result<(), String> {
        let (fatal, needed) = compile().map_err(|error| error.to_string())?;
        for program in [fatal, needed] {
            apply_filter(&program).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn compile() -> Result<(BpfProgram, BpfProgram), BackendError> {
        let architecture = std::env::consts::ARCH.try_into()?;
        let (kill, refuse) = (
            SeccompAction::KillProcess,
            SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
        );
        let fatal = SeccompFilter::new(fatal()?, SeccompAction::Allow, kill, architecture)?;
        let needed = SeccompFilter::new(needed()?, refuse, SeccompAction::Allow, architecture)?;
        Ok((fatal.try_into()?, needed.try_into()?))
    }

    fn needed() -> Result<Calls, BackendError> {
        let mut calls = whatever_the_arguments(NEEDED);
        // The pipes, and no other file.
        calls.insert(libc::SYS_read, vec![when(0, SeccompCmpOp::Eq, 0)?]);
        for call in [libc::SYS_write, libc::SYS_writev] {
            calls.insert(
                call,
                vec![when(0, SeccompCmpOp::Eq, 1)?, when(0, SeccompCmpOp::Eq, 2)?],
            );
        }
        // `clone3` keeps its flags where a filter cannot see them; without it, threads are started by `clone`.
        calls.insert(libc::SYS_clone, vec![thread(libc::CLONE_THREAD)?]);
        calls.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, own_id())?]);
        Ok(calls)
    }

    fn fatal() -> Result<Calls, BackendError> {
        let mut calls = whatever_the_arguments(FATAL);
        // To open a file for reading is only refused: the C library itself looks for settings of the system when a
        // thread gives memory back.
        calls.insert(libc::SYS_openat, writing(2)?);
        #[cfg(target_arch = "x86_64")]
        calls.insert(libc::SYS_open, writing(1)?);
        calls.insert(libc::SYS_clone, vec![thread(0)?]);
        calls.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Ne, own_id())?]);
        Ok(calls)
    }

    fn whatever_the_arguments(calls: &[c_long]) -> Calls {
        calls.iter().map(|call| (*call, Vec::new())).collect()
    }

    /// A `clone` whose thread flag is `flag`: set, or 0 for a new process.
    fn thread(flag: i32) -> Result<SeccompRule, BackendError> {
        let mask = u64::from(libc::CLONE_THREAD.cast_unsigned());
        when(0, SeccompCmpOp::MaskedEq(mask), u64::from(flag.cast_unsigned()))
    }

    /// Opening for more than reading; the flags are the argument at `index`.
    fn writing(index: u8) -> Result<Vec<SeccompRule>, BackendError> {
        let mask = u64::from(libc::O_ACCMODE.cast_unsigned());
        [libc::O_WRONLY, libc::O_RDWR]
            .into_iter()
            .map(|mode| {
                when(
                    index,
                    SeccompCmpOp::MaskedEq(mask),
                    u64::from(mode.cast_unsigned()),
                )
            })
            .collect()
    }

    fn when(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
        let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    }

    fn own_id() -> u64 {
        u64::from(std::process::id())
    }
}
