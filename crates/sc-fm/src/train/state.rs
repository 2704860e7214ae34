//! A training on disk: what it needs to go on as if nothing had happened.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{EpochRecord, Error, Fingerprint};
use crate::Result;
use crate::checkpoint::{Weights, write_safetensors};

/// The file that says which other files count. It is replaced last: whatever interrupts a save, the one before is whole.
const STATE: &str = "state.json";
/// Held while a training runs.
const LOCK: &str = "lock";
/// Increased when the files change.
const FORMAT: u32 = 1;

/// Where a training is between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Epochs that are complete.
    pub(crate) epoch: usize,
    /// Steps of the next epoch that are done.
    pub(crate) step_of_epoch: usize,
    /// Steps of all epochs that are done.
    pub(crate) step: usize,
    /// Sum of the losses of the epoch, each times what it counts for.
    pub(crate) loss_sum: f64,
    /// What they count for together.
    pub(crate) weight_sum: f64,
    /// Sum of the lengths of the gradients of the epoch.
    pub(crate) norm_sum: f64,
    /// The loss of the last steps.
    pub(crate) smoothed: Option<f64>,
    /// Learning rate of the last step.
    pub(crate) learning_rate: f64,
    /// Seconds that the epoch took so far.
    pub(crate) seconds: f64,
    /// The epochs that are complete.
    pub(crate) history: Vec<EpochRecord>,
    /// Place in the history of the epoch that is kept.
    pub(crate) best: Option<usize>,
    /// Whether nothing is left to do.
    pub(crate) is_done: bool,
}

impl Cursor {
    /// Refuses a place that no training of so many epochs and steps comes to.
    pub(crate) fn check(&self, folder: &Path, epochs: usize, steps: usize) -> Result<(), Error> {
        let is_place = self.epoch <= epochs
            && self.step_of_epoch <= steps
            && self.step == self.epoch * steps + self.step_of_epoch
            && self.history.len() == self.epoch
            && self.best.is_none_or(|best| best < self.history.len())
            && self.best.is_some() == (self.epoch > 0)
            && (self.is_done || self.epoch < epochs);
        match is_place {
            true => Ok(()),
            false => {
                let source = serde::de::Error::custom("a place that the training does not come to");
                Err(Error::State { path: folder.join(STATE), source })
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    fingerprint: Fingerprint,
    cursor: Cursor,
    /// The file with variables and moments.
    now: String,
    /// The file with the variables of the epoch that is kept.
    best: Option<String>,
}

/// A folder with the state of a training, which no other process may touch meanwhile.
#[derive(Debug)]
pub(crate) struct StateFolder {
    folder: PathBuf,
    fingerprint: Fingerprint,
    best: Option<String>,
    _lock: File,
}

/// What was found in a folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) cursor: Cursor,
    /// Variables and moments.
    pub(crate) now: Weights,
    /// Variables of the epoch that is kept.
    pub(crate) best: Option<Weights>,
}

impl StateFolder {
    /// Opens or makes a folder, and reads the state that it holds.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::OtherRun`], [`Error::State`]; files that cannot be read or written.
    pub(crate) fn open(folder: &Path, fingerprint: Fingerprint) -> Result<(Self, Option<Found>)> {
        fs::create_dir_all(folder).map_err(failed(folder, "create"))?;
        let path = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed(&path, "open"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: folder.to_owned() }.into()),
            Err(TryLockError::Error(source)) => return Err(failed(&path, "lock")(source).into()),
        }
        let mut state = Self { folder: folder.to_owned(), fingerprint, best: None, _lock: lock };
        let path = folder.join(STATE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                state.sweep(&[])?;
                return Ok((state, None));
            }
            Err(source) => return Err(failed(&path, "read")(source).into()),
        };
        let saved: Saved =
            serde_json::from_str(&text).map_err(|source| Error::State { path: path.clone(), source })?;
        if saved.format != FORMAT {
            let (what, found, expected) = ("format".to_owned(), saved.format.to_string(), FORMAT.to_string());
            return Err(Error::OtherRun { path: folder.to_owned(), what, found, expected }.into());
        }
        state.check(&saved.fingerprint)?;
        let read = |name: &String| Weights::open(folder.join(name));
        let found = Found {
            now: read(&saved.now)?,
            best: saved.best.as_ref().map(read).transpose()?,
            cursor: saved.cursor,
        };
        state.best = saved.best;
        Ok((state, Some(found)))
    }

    /// Refuses the state of another training.
    fn check(&self, found: &Fingerprint) -> Result<(), Error> {
        let value =
            |map: &Fingerprint, what: &str| map.get(what).cloned().unwrap_or_else(|| "absent".to_owned());
        match self
            .fingerprint
            .keys()
            .chain(found.keys())
            .find(|&what| found.get(what) != self.fingerprint.get(what))
        {
            None => Ok(()),
            Some(what) => Err(Error::OtherRun {
                path: self.folder.clone(),
                what: what.clone(),
                found: value(found, what),
                expected: value(&self.fingerprint, what),
            }),
        }
    }

    /// Puts the variables of the epoch that is kept from now on on disk. They count from the next [`save`](Self::save) on.
    pub(crate) fn keep<'a>(
        &mut self,
        epoch: usize,
        tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        let name = format!("best-{epoch:06}.safetensors");
        write_safetensors(self.folder.join(&name), tensors, &[], true)?;
        self.best = Some(name);
        Ok(())
    }

    /// Puts a state on disk, in place of the one before.
    pub(crate) fn save<'a>(
        &self,
        cursor: &Cursor,
        tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        let now = format!("step-{:06}-{:06}.safetensors", cursor.epoch, cursor.step);
        write_safetensors(self.folder.join(&now), tensors, &[], true)?;
        let saved = Saved {
            format: FORMAT,
            fingerprint: self.fingerprint.clone(),
            cursor: cursor.clone(),
            now,
            best: self.best.clone(),
        };
        let path = self.folder.join(STATE);
        let text = serde_json::to_vec_pretty(&saved)
            .map_err(|source| Error::State { path: path.clone(), source })?;
        sc_io::atomic::write_aside(&path, true, |file| file.write_all(&text)).map_err(Error::from)?;
        let kept: Vec<&str> =
            [Some(saved.now.as_str()), saved.best.as_deref()].into_iter().flatten().collect();
        self.sweep(&kept)
    }

    /// Removes files of earlier states, and what an interruption left of files that were being written.
    fn sweep(&self, kept: &[&str]) -> Result<()> {
        let entries = fs::read_dir(&self.folder).map_err(failed(&self.folder, "list"))?;
        for entry in entries {
            let name = entry.map_err(failed(&self.folder, "list"))?.file_name();
            let name = name.to_string_lossy();
            let is_ours =
                (name.starts_with("step-") || name.starts_with("best-")) && name.ends_with(".safetensors");
            let is_part = name.starts_with(".sc-") && name.ends_with(".part");
            if (is_ours && !kept.contains(&&*name)) || is_part {
                let path = self.folder.join(&*name);
                fs::remove_file(&path).map_err(failed(&path, "remove"))?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| sc_io::Error::Io { path, doing, source }.into()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn fingerprint(data: &str) -> Fingerprint {
        [("data", data), ("model", "m")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn tensor(value: f32) -> Tensor {
        Tensor::new(&[value], &Device::Cpu).unwrap()
    }

    #[test]
    fn the_last_state_is_found_and_earlier_ones_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut state, found) = StateFolder::open(folder.path(), fingerprint("d")).unwrap();
        assert!(found.is_none());
        let mut cursor = Cursor { step: 1, loss_sum: 0.1 + 0.2, ..Cursor::default() };
        state.save(&cursor, [("a", &tensor(1.0))]).unwrap();
        state.keep(1, [("a", &tensor(7.0))]).unwrap();
        cursor.step = 2;
        state.save(&cursor, [("a", &tensor(2.0))]).unwrap();
        drop(state);
        fs::write(folder.path().join(".sc-abc.part"), "half").unwrap();
        fs::write(folder.path().join("best-000009.safetensors"), "not counted yet").unwrap();
        let (state, found) = StateFolder::open(folder.path(), fingerprint("d")).unwrap();
        let found = found.unwrap();
        assert_eq!(found.cursor, cursor);
        let value = |mut weights: Weights| weights.take("a", &[1]).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!((value(found.now), value(found.best.unwrap())), (vec![2.0], vec![7.0]));
        state.save(&cursor, [("a", &tensor(2.0))]).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            ["best-000001.safetensors", "lock", "state.json", "step-000000-000002.safetensors"]
        );
    }

    #[test]
    fn a_place_that_a_training_does_not_come_to_is_refused() {
        let check = |cursor: Cursor| cursor.check(Path::new("folder"), 3, 10);
        check(Cursor::default()).unwrap();
        check(Cursor { step: 10, step_of_epoch: 10, ..Cursor::default() }).unwrap();
        for wrong in [
            Cursor { step: 3, ..Cursor::default() },
            Cursor { step: 11, step_of_epoch: 11, ..Cursor::default() },
            Cursor { best: Some(0), ..Cursor::default() },
            Cursor { epoch: 3, step: 30, is_done: true, ..Cursor::default() },
        ] {
            let error = check(wrong).unwrap_err();
            assert_eq!(error.to_string(), "folder/state.json: not the state of a training");
            assert!(error.help().unwrap().contains("anew"));
        }
    }

    #[test]
    fn the_state_of_another_training_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (state, _) = StateFolder::open(folder.path(), fingerprint("d")).unwrap();
        state.save(&Cursor::default(), [("a", &tensor(1.0))]).unwrap();
        let error = StateFolder::open(folder.path(), fingerprint("d")).unwrap_err();
        assert!(error.to_string().ends_with("another process trains in this folder"), "{error}");
        drop(state);
        let error = StateFolder::open(folder.path(), fingerprint("e")).unwrap_err();
        assert!(
            error.to_string().ends_with("holds the state of another training: data is d, expected e"),
            "{error}"
        );
        assert!(error.help().unwrap().contains("another folder"));
        fs::write(folder.path().join(STATE), "{").unwrap();
        let error = StateFolder::open(folder.path(), fingerprint("d")).unwrap_err();
        assert!(error.to_string().ends_with("state.json: not the state of a training"), "{error}");
    }
}
