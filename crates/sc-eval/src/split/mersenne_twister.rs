//! The Mersenne Twister MT19937 of Matsumoto and Nishimura (1998), which numpy's legacy generator is built on.

const N: usize = 624;
const M: usize = 397;

/// Generator of uniform 32-bit integers with a period of 2¹⁹⁹³⁷ − 1. Only for parity with numpy; anything new here
/// draws from ChaCha.
#[derive(Clone, Debug)]
pub(super) struct MersenneTwister {
    state: [u32; N],
    next: usize,
}

impl MersenneTwister {
    /// The state that numpy's `RandomState(seed)` starts from.
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::MersenneTwister;

    #[test]
    fn seed_5489_gives_the_ten_thousandth_output_that_the_standard_states() {
        let mut rng = MersenneTwister::new(5489);
        let last = (0..10_000).map(|_| rng.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn seed_42_starts_as_in_numpy() {
        let mut rng = MersenneTwister::new(42);
        assert_eq!([(); 3].map(|()| rng.next_u32()), [1_608_637_542, 3_421_126_067, 4_083_286_876]);
    }
}
