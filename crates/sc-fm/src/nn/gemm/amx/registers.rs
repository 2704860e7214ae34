//! The tile registers of the processor, by their instructions.

#![allow(unsafe_code, reason = "instructions that the compiler has no functions for")]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use super::Tiles;
use crate::nn::gemm::avx512;
use crate::nn::gemm::micro::Target;

/// Whether the processor has tile registers for bf16, and the system lets this process use them. Asked once: the
/// permission holds for all threads.
pub(crate) fn permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| {
        const BF16: u32 = 1 << 22;
        const TILES: u32 = 1 << 24;
        let features = match __cpuid_count(0, 0).eax {
            7.. => __cpuid_count(7, 0).edx,
            _ => 0,
        };
        features & (BF16 | TILES) == BF16 | TILES && request()
    })
}

/// Asks Linux for the state of the tile registers: 8 KiB a thread that it saves only for processes that want it.
fn request() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: a system call that takes two numbers and touches no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// The registers of this thread, from configuration to release. The compiler never uses tile registers by itself, so
/// what one instruction leaves in them is there for the next.
pub(crate) struct Registers;

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Tiles for Registers {
    unsafe fn configure() -> Self {
        let mut whole =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        whole.row_bytes[..8].fill(64);
        whole.rows[..8].fill(16);
        // SAFETY: the caller says that the instruction exists; it reads the 64 bytes of `whole`.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const whole, options(nostack, preserves_flags, readonly));
        }
        Self
    }

    #[inline(always)]
    unsafe fn zero<const T: u8>(&mut self) {
        // SAFETY: the caller says that the instruction exists.
        unsafe { asm!("tilezero tmm{t}", t = const T, options(nostack, preserves_flags, nomem)) }
    }

    #[inline(always)]
    unsafe fn load<const T: u8>(&mut self, from: *const u32, stride: usize) {
        // SAFETY: the caller says that the instruction exists and that the words can be read.
        unsafe {
            asm!(
                "tileloadd tmm{t}, [{from} + {stride}*4]",
                t = const T,
                from = in(reg) from,
                stride = in(reg) stride,
                options(nostack, preserves_flags, readonly),
            );
        }
    }

    #[inline(always)]
    unsafe fn multiply<const SUM: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: the caller says that the instruction exists.
        unsafe {
            asm!(
                "tdpbf16ps tmm{sum}, tmm{a}, tmm{b}",
                sum = const SUM,
                a = const A,
                b = const B,
                options(nostack, preserves_flags, nomem),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const T: u8>(&mut self, to: *mut u32, stride: usize) {
        // SAFETY: the caller says that the instruction exists and that the words can be written.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*4], tmm{t}",
                t = const T,
                to = in(reg) to,
                stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    unsafe fn finish(sums: &[u32], target: &Target) {
        // SAFETY: processors with tile registers are offered only together with AVX-512 (`Kernel::available`).
        unsafe { avx512::finish(sums, target) }
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: a value of this type is made only where the instructions exist.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) }
    }
}
