//! More labels than a schema may list.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::super::cache::{Kept, Question};
use super::super::lexicon::bare;
use super::super::run::Run;
use super::super::structure::{Coding, Dialect, KEY, Numbers, Sampling};
use super::super::{Client, Error, Lexicon, Message, Mode, Result, Role, Structure, date, structure};
use super::{ID, QUESTION, refuses};

impl Client {
    /// How labels are asked for by number, where they are so many: as a number within limits or as one of a list of numbers,
    /// whichever the server enforces. Some know no limits of numbers, and some no long lists. Plain text if it refuses both.
    ///
    /// It is found out once for each number of labels, as [`Client::probe`] does, and kept.
    pub(in crate::endpoint) fn numbers(&self, dialect: &mut Dialect, lexicon: &Lexicon) -> Result<Numbers> {
        if !Coding::new(dialect.structure, lexicon.labels()).numbered {
            return Ok(Numbers::default());
        }
        let params = &self.params;
        let body = json!({
            "model": params.model, "extra": params.extra, "structure": dialect.structure, "stream": params.stream,
            "max_tokens": params.max_tokens, "question": QUESTION, "labels": lexicon.labels().len(),
        });
        let question = Question::new("numbers", &self.base.url, &body, 0);
        let mut known = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(&question.key).map(|known| Ok(Some(*known)));
        let found = match kept.unwrap_or_else(|| self.kept_numbers(&question))? {
            Some(found) => found,
            None => {
                let started = Instant::now();
                let found = self.try_numbers(dialect, lexicon)?;
                if let Some(cache) = &self.cache {
                    let kept = Kept {
                        body: serde_json::to_string(&found).expect("a word makes JSON"),
                        date: date::rfc3339(SystemTime::now()),
                        seconds: started.elapsed().as_secs_f64(),
                        ..Kept::default()
                    };
                    cache.keep(&question, &kept)?;
                }
                found
            }
        };
        known.insert(question.key, found);
        if found.is_none() {
            dialect.structure = Structure::Plain;
        }
        Ok(found.unwrap_or_default())
    }

    /// What was kept; none if nothing was.
    fn kept_numbers(&self, question: &Question) -> Result<Option<Option<Numbers>>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        match cache.find(ID, question) {
            Ok(kept) => Ok(kept.and_then(|kept| serde_json::from_str(&kept.body).ok())),
            // Folders from before there was a choice have answers to the first way.
            Err(Error::NotKept { .. }) if self.params.mode == Mode::Offline => {
                Ok(Some(Some(Numbers::default())))
            }
            Err(e) => Err(e),
        }
    }

    fn try_numbers(&self, dialect: &mut Dialect, lexicon: &Lexicon) -> Result<Option<Numbers>> {
        // The receiver is dropped: nobody watches a probe.
        let (run, _) = Run::new(1, &self.limits);
        let mut accepted = None;
        for numbers in Numbers::ALL {
            let coding = Coding::new(dialect.structure, lexicon.labels()).with(numbers);
            let messages = [Message::new(Role::User, QUESTION)];
            let sampling = Sampling { temperature: 0.0, seed: self.params.seed };
            let body = structure::body(&self.params, dialect, &coding, &messages, sampling);
            match self.send(&run, self.ask_of_probe(), &body.to_string()) {
                Ok((reply, _)) if is_number(&reply.text, lexicon.labels().len()) => {
                    return Ok(Some(numbers));
                }
                Ok(_) => {
                    accepted.get_or_insert(numbers);
                }
                Err(Error::Status { status, .. }) if refuses(status) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(accepted)
    }
}

fn is_number(text: &str, n_labels: usize) -> bool {
    let value: Option<Value> = bare(text).and_then(|text| serde_json::from_str(text).ok());
    let number = value.as_ref().and_then(|value| value.get(KEY)).and_then(Value::as_u64);
    number.is_some_and(|number| number < n_labels as u64)
}
