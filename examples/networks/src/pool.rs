//! One pool of threads.

/// Keeps the tensor library from starting threads beside those that everything else here runs on: they wait by spinning, and
/// take the processor from the others. To be called before any thread is started.
pub fn one_pool() {
    // SAFETY: the caller is the first thread of a program, and there is no other yet.
    #[allow(
        unsafe_code,
        reason = "the tensor library takes the number of its threads from the environment alone"
    )]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
}
