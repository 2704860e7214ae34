//! Free text, token by token.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::{Error, Result};

/// How text is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateParams {
    /// Most tokens. Default: 128.
    pub max_new_tokens: usize,
    /// How the next token is chosen. Default: greedily.
    pub sampling: Sampling,
    /// What the logits of tokens that were read or generated before are divided by where positive, and multiplied by where
    /// negative (Keskar et al. 2019). Default: 1, which changes nothing.
    pub repetition_penalty: f32,
    /// Tokens that end the text; the one that did is the last of the result. Default: none.
    pub stop: Vec<u32>,
    /// Tokens of the tokeniser; those above them, which some models have logits for, are never chosen. Default: no limit.
    pub n_tokens: Option<usize>,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            sampling: Sampling::Greedy,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            n_tokens: None,
        }
    }
}

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The highest logit; of equals the lowest token.
    Greedy,
    /// By chance.
    Random {
        /// What logits are divided by; above 0.
        temperature: f64,
        /// Only so many of the most probable tokens; 0 for all.
        top_k: usize,
        /// Only the most probable tokens that have this share of the probability together, at least one; above 0, at most 1.
        top_p: f64,
        /// The seed. Each text has a stream of its own, so it does not matter which others are generated.
        seed: u64,
    },
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The tokens behind the prompt.
    pub tokens: Vec<u32>,
    /// Whether a token of `stop` ended the text, not the budget.
    pub is_complete: bool,
}

impl GenerateParams {
    /// Refuses parameters that make no sense.
    ///
    /// # Errors
    /// [`Error::Sampling`].
    pub fn validate(&self) -> Result<()> {
        let penalty = f64::from(self.repetition_penalty);
        if !(penalty.is_finite() && penalty > 0.0) {
            let field = "repetition_penalty";
            return Err(Error::Sampling { field, found: penalty, expected: "above 0" });
        }
        self.sampling.validate()
    }
}

impl Sampling {
    /// Refuses a temperature or share that no sampling has.
    ///
    /// # Errors
    /// [`Error::Sampling`].
    pub fn validate(self) -> Result<()> {
        let refuse = |field, found, expected| Err(Error::Sampling { field, found, expected });
        match self {
            Self::Random { temperature, .. } if !(temperature.is_finite() && temperature > 0.0) => {
                refuse("temperature", temperature, "above 0; `Greedy` for the most probable token")
            }
            Self::Random { top_p, .. } if !(top_p > 0.0 && top_p <= 1.0) => {
                refuse("top_p", top_p, "above 0 and at most 1")
            }
            _ => Ok(()),
        }
    }
}

/// Goes on from a prompt until a token of `stop` or the end of the budget.
///
/// * `prompt`: the tokens that were read, for the repetition penalty and as the first question.
/// * `item`: number of the text, which picks its stream of chance.
/// * `logits`: given the tokens that the model has not seen yet (first the prompt, then each new one), the logits of the
///   next token.
///
/// The same tokens as `generate` of transformers with the same parameters where it is greedy: the penalty falls on the
/// tokens of the prompt too.
///
/// # Errors
/// [`Error::Sampling`]; [`Error::NoToken`] where a logit is NaN or all are minus infinity; what `logits` returns.
pub fn generate<E: From<Error>>(
    prompt: &[u32],
    params: &GenerateParams,
    item: u64,
    mut logits: impl FnMut(&[u32]) -> Result<Vec<f32>, E>,
) -> Result<Generated, E> {
    let mut writing = Writing::new(prompt, params, item, usize::MAX)?;
    let mut seen = 0;
    while !writing.is_over() {
        let logits = logits(&writing.text[seen..])?;
        seen = writing.text.len();
        writing.step(logits)?;
    }
    Ok(writing.finish())
}

/// A text that is being generated; what is asked for logits, and of how many texts at a time, is the caller's business.
#[derive(Clone, Debug)]
pub(crate) struct Writing<'p> {
    params: &'p GenerateParams,
    chooser: Chooser,
    text: Vec<u32>,
    n_prompt: usize,
    /// Tokens that may still come.
    left: usize,
    is_complete: bool,
}

impl<'p> Writing<'p> {
    /// Behind a prompt, with `room` for so many tokens.
    pub(crate) fn new(prompt: &[u32], params: &'p GenerateParams, item: u64, room: usize) -> Result<Self> {
        params.validate()?;
        let chooser = Chooser::new(params.sampling, item);
        let left = params.max_new_tokens.min(room);
        Ok(Self { params, chooser, text: prompt.to_vec(), n_prompt: prompt.len(), left, is_complete: false })
    }

    /// Whether no token may come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_complete || self.left == 0
    }

    /// Adds the token that these logits mean, and returns it.
    pub(crate) fn step(&mut self, mut logits: Vec<f32>) -> Result<u32> {
        let step = self.text.len() - self.n_prompt;
        logits.truncate(self.params.n_tokens.unwrap_or(usize::MAX));
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(Error::NoToken { step, problem: "a logit is NaN" });
        }
        penalise(&mut logits, &self.text, self.params.repetition_penalty);
        let Some(token) = self.chooser.choose(&logits) else {
            return Err(Error::NoToken { step, problem: "no logit is above minus infinity" });
        };
        self.text.push(token);
        self.left = self.left.saturating_sub(1);
        self.is_complete = self.params.stop.contains(&token);
        Ok(token)
    }

    /// What was generated.
    pub(crate) fn finish(mut self) -> Generated {
        Generated { tokens: self.text.split_off(self.n_prompt), is_complete: self.is_complete }
    }
}

/// What picks one of some tokens.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    sampling: Sampling,
    rng: Option<ChaCha8Rng>,
}

impl Chooser {
    /// For the text with this number.
    pub(crate) fn new(sampling: Sampling, item: u64) -> Self {
        let rng = match sampling {
            Sampling::Greedy => None,
            Sampling::Random { seed, .. } => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(item);
                Some(rng)
            }
        };
        Self { sampling, rng }
    }

    /// The place of one of the logits, of which none is NaN; `None` if all are minus infinity.
    pub(crate) fn choose<T: Copy + Into<f64>>(&mut self, logits: &[T]) -> Option<u32> {
        match (self.sampling, &mut self.rng) {
            (Sampling::Random { temperature, top_k, top_p, .. }, Some(rng)) => {
                draw(logits, temperature, top_k, top_p, rng)
            }
            _ => highest(logits),
        }
    }
}

/// Makes tokens of the text less likely, each once.
pub(crate) fn penalise(logits: &mut [f32], text: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut tokens = text.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    for token in tokens {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
}

/// The first token with the highest logit.
fn highest<T: Copy + Into<f64>>(logits: &[T]) -> Option<u32> {
    let mut best = (None, f64::NEG_INFINITY);
    for (token, &logit) in logits.iter().enumerate() {
        let logit = logit.into();
        if logit > best.1 {
            best = (Some(token as u32), logit);
        }
    }
    best.0
}

/// A token by chance: the most probable first, equals in the order of their numbers.
fn draw<T: Copy + Into<f64>>(
    logits: &[T],
    temperature: f64,
    top_k: usize,
    top_p: f64,
    rng: &mut ChaCha8Rng,
) -> Option<u32> {
    let first = highest(logits)?;
    let logit = |token: usize| -> f64 { logits[token].into() };
    let best = logit(first as usize);
    if best == f64::INFINITY {
        return Some(first);
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
    order.truncate(if top_k == 0 { usize::MAX } else { top_k });
    let weight = |&token: &usize| libm::exp((logit(token) - best) / temperature);
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut kept = 0.0;
    let mut n_kept = 0;
    while n_kept < weights.len() && (n_kept == 0 || kept < top_p * total) {
        kept += weights[n_kept];
        n_kept += 1;
    }
    let mut left = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * kept;
    for (token, weight) in order[..n_kept].iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return Some(*token as u32);
        }
    }
    // Rounding may leave a rest: the last token that has any probability.
    let last = weights[..n_kept].iter().rposition(|&weight| weight > 0.0)?;
    Some(order[last] as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with these logits at every step.
    fn constant(logits: &[f32]) -> impl FnMut(&[u32]) -> Result<Vec<f32>> + '_ {
        |_| Ok(logits.to_vec())
    }

    fn random(temperature: f64, top_k: usize, top_p: f64) -> GenerateParams {
        let sampling = Sampling::Random { temperature, top_k, top_p, seed: 3 };
        GenerateParams { sampling, max_new_tokens: 4000, ..GenerateParams::default() }
    }

    fn share(tokens: &[u32], token: u32) -> f64 {
        tokens.iter().filter(|&&x| x == token).count() as f64 / tokens.len() as f64
    }

    #[test]
    fn the_model_is_asked_for_what_it_has_not_seen() {
        let mut questions = Vec::new();
        let params = GenerateParams { max_new_tokens: 9, stop: vec![3], ..GenerateParams::default() };
        let counting = |next: &[u32]| {
            questions.push(next.to_vec());
            let mut logits = vec![0.0; 6];
            logits[questions.len()] = 1.0;
            Ok::<_, Error>(logits)
        };
        let generated = generate(&[5, 4], &params, 0, counting).unwrap();
        assert_eq!(generated, Generated { tokens: vec![1, 2, 3], is_complete: true });
        assert_eq!(questions, [vec![5, 4], vec![1], vec![2]]);
    }

    #[test]
    fn of_equal_logits_the_lowest_token_is_chosen_and_padding_never() {
        let params = GenerateParams { max_new_tokens: 1, n_tokens: Some(3), ..GenerateParams::default() };
        let found = generate(&[], &params, 0, constant(&[0.0, 2.0, 2.0, 9.0])).unwrap();
        assert_eq!(found, Generated { tokens: vec![1], is_complete: false });
    }

    #[test]
    fn the_penalty_falls_once_on_what_was_read_or_generated() {
        let params =
            GenerateParams { max_new_tokens: 3, repetition_penalty: 2.0, ..GenerateParams::default() };
        // 0 falls from 3 to 1.5 as it is in the prompt, twice; 1 from 2 to 1 once it was generated.
        let found = generate(&[0, 0], &params, 0, constant(&[3.0, 2.0, 0.5, -1.0])).unwrap();
        assert_eq!(found.tokens, [1, 0, 0]);
        let mut logits = [-1.0, 2.0];
        penalise(&mut logits, &[0, 1, 7], 2.0);
        assert_eq!(logits, [-2.0, 1.0]);
    }

    #[test]
    fn chance_follows_the_probabilities() {
        let logits = [1.0_f32, 0.0, 2.0, 0.0];
        let tokens = generate(&[], &random(2.0, 0, 1.0), 0, constant(&logits)).unwrap().tokens;
        let weights = logits.map(|x| (f64::from(x) / 2.0).exp());
        for (token, weight) in weights.iter().enumerate() {
            let expected = weight / weights.iter().sum::<f64>();
            let error = (expected * (1.0 - expected) / 4000.0).sqrt();
            assert!((share(&tokens, token as u32) - expected).abs() < 4.0 * error, "{token}");
        }
    }

    #[test]
    fn unlikely_tokens_are_cut_off() {
        let logits = [1.0_f32, 0.0, 2.0, 0.0];
        let of =
            |top_k, top_p| generate(&[], &random(1.0, top_k, top_p), 0, constant(&logits)).unwrap().tokens;
        assert!(of(2, 1.0).iter().all(|token| [0, 2].contains(token)));
        assert!(of(3, 1.0).iter().all(|&token| token != 3), "of equals the later token is cut");
        assert!(of(0, 0.6).iter().all(|&token| token == 2));
        assert!(of(0, 0.7).iter().all(|token| [0, 2].contains(token)));
    }

    #[test]
    fn a_text_has_its_own_stream() {
        let of = |item| generate(&[], &random(1.0, 0, 1.0), item, constant(&[0.0, 0.1, 0.2])).unwrap().tokens;
        assert_eq!(of(4), of(4));
        assert_ne!(of(4), of(5));
    }

    #[test]
    fn logits_of_which_none_can_be_chosen_name_the_step() {
        let mut step = 0;
        let params = GenerateParams::default();
        let error = generate(&[1], &params, 0, |_| {
            step += 1;
            Ok::<_, Error>(if step < 3 { vec![0.0, 1.0] } else { vec![0.0, f32::NAN] })
        });
        assert_eq!(error.unwrap_err().to_string(), "no token can be chosen at step 2: a logit is NaN");
        let error = generate(&[1], &params, 0, constant(&[f32::NEG_INFINITY; 2])).unwrap_err();
        assert!(error.to_string().contains("step 0: no logit is above minus infinity"), "{error}");
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (params, field) in [
            (random(0.0, 0, 1.0), "temperature"),
            (random(1.0, 0, 0.0), "top_p"),
            (random(1.0, 0, 1.5), "top_p"),
            (
                GenerateParams { repetition_penalty: f32::NAN, ..GenerateParams::default() },
                "repetition_penalty",
            ),
        ] {
            let error = generate(&[1], &params, 0, constant(&[0.0])).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{field}` of the sampling")), "{error}");
        }
    }
}
