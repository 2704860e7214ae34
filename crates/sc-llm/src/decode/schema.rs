//! Text held to a JSON schema, a regular expression or a grammar of the caller's.
//!
//! At each step the tokens that may not come are masked, so a text that is complete belongs to the grammar, whatever the
//! model: JSON that parses and is what the schema says. Text without a choice is not asked for: its tokens, as the tokeniser
//! writes them, are read together with the next question. For labels alone [`trie`](super::trie) and
//! [`template`](super::template) do more: they score, and they work for vocabularies without braces.
//!
//! ```
//! use sc_llm::decode::generate::GenerateParams;
//! use sc_llm::decode::schema::Compiler;
//! use sc_llm::tokenizer::Tokenizer;
//!
//! let tokenizer = Tokenizer::of_words(&["Answer: T cell"], 1000)?;
//! let compiler = Compiler::new(&tokenizer)?;
//! let grammar = compiler.json_schema(
//!     r#"{"type": "object", "additionalProperties": false, "required": ["cell_type", "markers"],
//!         "properties": {"cell_type": {"enum": ["T cell", "γδ T cell"]},
//!                        "markers": {"type": "array", "maxItems": 2, "items": {"enum": ["CD3D", "CD4"]}}}}"#,
//! )?;
//! // A model to whom all tokens are alike.
//! let model = |_: &[u32]| Ok::<_, sc_llm::Error>(vec![0.0; tokenizer.n_tokens()]);
//! let prompt = tokenizer.encode("Answer:", false)?;
//! let written = grammar.generate(&prompt, &GenerateParams::default(), 0, model)?;
//! assert!(written.is_complete);
//! let json: serde_json::Value = serde_json::from_str(&written.text).unwrap();
//! assert!(["T cell", "γδ T cell"].contains(&json["cell_type"].as_str().unwrap()));
//! # Ok::<(), sc_llm::Error>(())
//! ```
//!
//! # JSON schemas
//! The keywords of drafts 4 to 2020-12 but those that no grammar can hold (`not`, `if`, `uniqueItems`, `contains`,
//! `dependentRequired`, …): these, and words that no draft knows, are refused with their place. `$ref` reaches places in the
//! schema itself. `oneOf` is taken where its schemas plainly exclude each other. Properties come in the order in which the
//! schema lists them, and the text is laid out in one way: `{"a": 1, "b": [2, 3]}`. An object may have properties that the
//! schema does not list unless it says `"additionalProperties": false`; a number without bounds may be one that no `f64`
//! holds (`1e999`), and a text without `maxLength` or a list without `maxItems` may go on to the end of the budget.

mod check;
mod error;
mod run;
mod vocabulary;

pub use error::Error;
pub use run::Written;

use std::fmt;
use std::sync::Arc;
use std::thread;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use llguidance::{Matcher, ParserFactory, panic_utils};
use serde_json::{Value, json};

use crate::tokenizer::Tokenizer;
use vocabulary::Vocabulary;

/// Bytes of the longest JSON schema.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// Bytes of the longest regular expression or grammar.
pub const MAX_GRAMMAR_BYTES: usize = 1 << 16;

/// Rules and tokens of a grammar at most: a mistake under many of them takes long to tell of.
pub const MAX_RULES: usize = 500;

/// Grammars are compiled by functions that call themselves, for each level of a schema and each rule that a rule begins with:
/// this is room for the most that the limits let through, whatever room the caller has left.
const STACK_BYTES: usize = 256 << 20;

/// Makes grammars for the tokens of one tokeniser.
pub struct Compiler {
    vocabulary: Arc<Vocabulary>,
    factory: ParserFactory,
}

/// What a text may be, in tokens. Texts are generated from it independently, on any number of threads.
pub struct Grammar {
    vocabulary: Arc<Vocabulary>,
    /// At the beginning of a text.
    start: Matcher,
}

impl Compiler {
    /// For a tokeniser. Tokens without text, special tokens and ids beyond the tokeniser never come, but for the end.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] for tokens beyond what any model has.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, Error> {
        with_stack(|| {
            let vocabulary = Arc::new(Vocabulary::new(tokenizer)?);
            let env: TokEnv = Arc::clone(&vocabulary) as TokEnv;
            let can = InferenceCapabilities { ff_tokens: vocabulary.is_exact(), ..Default::default() };
            let factory = panic_utils::catch_unwind(std::panic::AssertUnwindSafe(|| {
                ParserFactory::new(&env, can, &SlicedBiasComputer::general_slices())
            }));
            let mut factory = factory.map_err(|error| Error::refused("tokeniser", &error))?;
            factory.quiet().limits_mut().verbose_errors = false;
            Ok(Self { vocabulary, factory })
        })
    }

    /// JSON that a schema holds for right. What of the schemas is understood: see [the module](self).
    ///
    /// # Errors
    /// [`Error`] names the place in the schema, as a JSON pointer.
    pub fn json_schema(&self, schema: &str) -> Result<Grammar, Error> {
        limit("JSON schema", schema, MAX_SCHEMA_BYTES)?;
        with_stack(|| {
            let mut schema: Value = serde_json::from_str(schema).map_err(|source| Error::Json { source })?;
            check::schema(&schema)?;
            if schema == true {
                schema = json!({});
            }
            if let Value::Object(keywords) = &mut schema {
                // One layout: spaces that mean nothing would be choices, and could go on for ever.
                let layout =
                    json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
                keywords.insert("x-guidance".to_owned(), layout);
            }
            self.compile("JSON schema", TopLevelGrammar::from_json_schema(schema))
        })
    }

    /// Texts that a regular expression matches from their first to their last character, in the syntax of the crate `regex`
    /// without anchors, word boundaries and groups that look around.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Refused`].
    pub fn regex(&self, regex: &str) -> Result<Grammar, Error> {
        limit("regular expression", regex, MAX_GRAMMAR_BYTES)?;
        with_stack(|| self.compile("regular expression", TopLevelGrammar::from_regex(regex)))
    }

    /// Texts of a context-free grammar in the syntax of Lark, as llguidance has it: rules in lower case, tokens in upper
    /// case, the rule `start` first; `%json {…}` for a schema inside. Special tokens cannot be asked for.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Refused`] with line and column; those of [`json_schema`](Self::json_schema) for
    /// schemas inside.
    pub fn lark(&self, grammar: &str) -> Result<Grammar, Error> {
        limit("grammar", grammar, MAX_GRAMMAR_BYTES)?;
        with_stack(|| {
            // Keys of JSON are none; a colon inside a text may count, so this is a bound.
            let is_rule = |&(colon, _): &(usize, &str)| !grammar[..colon].trim_end().ends_with('"');
            let found = grammar.match_indices(':').filter(is_rule).count();
            if found > MAX_RULES {
                let (what, unit, limit) = ("grammar", "rules", MAX_RULES);
                return Err(Error::TooLarge { what, found, unit, limit });
            }
            check::schemas_inside(grammar)?;
            self.compile("grammar", TopLevelGrammar::from_lark(grammar.to_owned()))
        })
    }

    fn compile(&self, what: &'static str, grammar: TopLevelGrammar) -> Result<Grammar, Error> {
        let parser = self.factory.create_parser(grammar).map_err(|error| Error::refused(what, &error))?;
        let start = Matcher::new(Ok(parser));
        // What allows no first token holds no text at all.
        start.deep_clone().compute_mask().map_err(|error| Error::refused(what, &error))?;
        Ok(Grammar { vocabulary: Arc::clone(&self.vocabulary), start })
    }
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").finish_non_exhaustive()
    }
}

fn limit(what: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    match text.len() {
        found if found > limit => Err(Error::TooLarge { what, found, unit: "bytes", limit }),
        _ => Ok(()),
    }
}

/// Runs something on a thread with [`STACK_BYTES`] of stack, of which it takes what it uses.
fn with_stack<T: Send>(run: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
        let thread = thread.map_err(|source| Error::Thread { source })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests;
