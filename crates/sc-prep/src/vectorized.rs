//! Code compiled for the processor it runs on.

use pulp::{Arch, NullaryFnOnce};

/// Runs `task` compiled for the widest vectors of this processor; mark the closure `#[inline(always)]`.
///
/// A closure handed to `Arch::dispatch` directly is called through its `FnOnce` shim, which the compiler is free not to
/// inline: then the body is compiled for the oldest processor, and every `mul_add` in it becomes a call. Called as
/// `FnMut` there is no shim.
#[inline(always)]
pub(crate) fn vectorized<R>(arch: Arch, task: impl FnMut() -> R) -> R {
    struct Task<F>(F);
    impl<R, F: FnMut() -> R> NullaryFnOnce for Task<F> {
        type Output = R;

        #[inline(always)]
        fn call(mut self) -> R {
            (self.0)()
        }
    }
    arch.dispatch(Task(task))
}
