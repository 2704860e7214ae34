//! What tells one run from another.

use sha2::{Digest, Sha256};

use super::items::Items;
use super::states::Targets;
use super::{PerturbCells, Perturber};
use crate::Result;

/// Raised when the same input gives other rows.
const FORMAT: u64 = 1;

struct Hash(Sha256);

impl Hash {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text);
    }

    fn floats(&mut self, values: &[f32]) {
        self.number(values.len() as u64);
        values.iter().for_each(|value| self.0.update(value.to_le_bytes()));
    }
}

impl Perturber<'_> {
    /// SHA-256, in hexadecimal, of all that the result depends on.
    pub(super) fn key(
        &self,
        cells: &PerturbCells<'_>,
        items: &Items<'_>,
        targets: &Targets,
    ) -> Result<String> {
        let mut hash = Hash(Sha256::new());
        hash.number(FORMAT);
        let params = &self.params;
        hash.text(&format!(
            "{} {:?} {} {}",
            params.perturbation, self.pooling, params.layer, params.affected
        ));
        hash.number(self.anchor().map_or(0, |token| u64::from(token) + 1));
        hash.number(self.together().len() as u64);
        self.together().iter().for_each(|&token| hash.number(token.into()));
        hash.text(&serde_json::to_string(self.model.config()).expect("a configuration is plain data"));
        for table in self.model.tables() {
            let values = table.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            hash.floats(&values);
        }
        hash.floats(&self.states(&[&items.original(items.cell(0))])?.0);
        let mut keys: Vec<(&u32, &String)> = self.ids.iter().collect();
        keys.sort();
        for (&token, id) in keys {
            hash.number(token.into());
            hash.text(id);
            hash.text(self.names.get(id).map_or("", String::as_str));
        }
        hash.number(items.len() as u64);
        for (cell, (ids, &row)) in cells.ids.iter().zip(&cells.rows).enumerate() {
            hash.number(row as u64);
            hash.number(u64::from(items.is_chosen(cell)));
            hash.number(ids.len() as u64);
            ids.iter().for_each(|&id| hash.number(id.into()));
        }
        for (name, vector) in targets.names.iter().zip(&targets.vectors) {
            hash.text(name);
            hash.floats(vector);
        }
        Ok(hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
