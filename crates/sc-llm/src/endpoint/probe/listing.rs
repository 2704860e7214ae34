//! More labels than every provider takes in a schema.

use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use serde_json::json;

use super::super::cache::{Kept, Question};
use super::super::run::Run;
use super::super::structure::{Coding, Dialect, Listing, Sampling};
use super::super::{Client, Error, Lexicon, Message, Mode, Result, Role, Structure, date, structure};
use super::{ID, QUESTION, refuses};

impl Client {
    /// How a schema lists labels, where they are so many that providers differ: by name, or by number within limits, or as a
    /// list of numbers, whichever the server enforces first. Some take no long lists, and some no limits of numbers. Plain
    /// text if it refuses all.
    ///
    /// It is found out once for each number of labels, as [`Client::probe`] does, and kept.
    pub(in crate::endpoint) fn listing(&self, dialect: &mut Dialect, lexicon: &Lexicon) -> Result<Listing> {
        let coding = Coding::new(dialect.structure, lexicon.labels());
        if coding.listings(dialect.structure).is_empty() {
            return Ok(coding.listing);
        }
        let params = &self.params;
        let body = json!({
            "model": params.model, "extra": params.extra, "structure": dialect.structure, "stream": params.stream,
            "max_tokens": params.max_tokens, "question": QUESTION, "labels": lexicon.labels().len(),
            "characters": coding.chars(),
        });
        let question = Question::new("listing", &self.base.url, &body, 0);
        let mut known = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(&question.key).map(|known| Ok(Some(*known)));
        let found = match kept.unwrap_or_else(|| self.kept_listing(&question, &coding))? {
            Some(found) => found,
            None => {
                let started = Instant::now();
                let found = self.try_listings(dialect, lexicon)?;
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
        Ok(found.unwrap_or_else(|| {
            dialect.structure = Structure::Plain;
            Listing::Names
        }))
    }

    /// What was kept; none if nothing was.
    fn kept_listing(&self, question: &Question, coding: &Coding<'_>) -> Result<Option<Option<Listing>>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        match cache.find(ID, question) {
            Ok(kept) => Ok(kept.and_then(|kept| serde_json::from_str(&kept.body).ok())),
            // Folders from before this was found out have answers to the first way.
            Err(Error::NotKept { .. }) if self.params.mode == Mode::Offline => Ok(Some(Some(coding.listing))),
            Err(e) => Err(e),
        }
    }

    /// The first listing that is enforced, else the first that is accepted.
    fn try_listings(&self, dialect: &Dialect, lexicon: &Lexicon) -> Result<Option<Listing>> {
        // The receiver is dropped: nobody watches a probe.
        let (run, _) = Run::new(1, &self.limits);
        let coding = Coding::new(dialect.structure, lexicon.labels());
        let mut accepted = None;
        for &listing in coding.listings(dialect.structure) {
            let coding = coding.clone().with(listing);
            // Neither the labels nor a word about the form of the answer are in the prompt.
            let messages = [Message::new(Role::User, QUESTION)];
            let sampling = Sampling { temperature: 0.0, seed: self.params.seed };
            let body = structure::body(&self.params, dialect, &coding, &messages, sampling);
            match self.send(&run, self.ask_of_probe(), &body.to_string()) {
                Ok((reply, _)) if lexicon.find(&reply.text, coding.is_numbered()).is_some() => {
                    return Ok(Some(listing));
                }
                Ok(_) => {
                    accepted.get_or_insert(listing);
                }
                Err(Error::Status { status, .. }) if refuses(status) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(accepted)
    }
}
