//! scGPT's `args.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::models::{Error, load};

/// The shape of an scGPT, with the names of its `args.json`. Other fields of the file are left aside.
///
/// What the file does not tell is read off the weights: numbers of classes and of batch labels, which decoders there
/// are, whether there is a batch norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScgptConfig {
    /// Width of the hidden states; 512 in the released models.
    pub embsize: usize,
    /// Heads of each attention; they divide the width. 8 in the released models.
    pub nheads: usize,
    /// Width inside the feed-forward parts; 512 in the released models.
    pub d_hid: usize,
    /// Number of layers; 12 in the released models.
    pub nlayers: usize,
    /// Share of values dropped in training.
    #[serde(default = "fifth")]
    pub dropout: f64,
    /// How values come in. Default continuous.
    #[serde(default)]
    pub input_emb_style: InputEmbStyle,
    /// What stands for the cell. Default `<cls>`; not in released files.
    #[serde(default)]
    pub cell_emb_style: CellEmbStyle,
    /// Norms before the parts of a layer, in the way of the reference's flash-attention layer. Its other layer ignores
    /// the field. Default false; not in released files.
    #[serde(default)]
    pub pre_norm: bool,
}

/// How values come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputEmbStyle {
    /// As numbers, through two linear layers.
    #[default]
    Continuous,
    /// As categories, through an embedding.
    Category,
    /// As factors of the gene embedding.
    Scaling,
}

/// What stands for the cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellEmbStyle {
    /// The state of the first token, `<cls>`.
    #[default]
    #[serde(rename = "cls")]
    Cls,
    /// The mean over the tokens of the cell, `<cls>` among them. The reference takes padding in, so that its mean depends
    /// on the batch; ours does not.
    #[serde(rename = "avg-pool")]
    AvgPool,
    /// The sum over the tokens of the cell, weighted by their values, at length 1. Without padding, as above.
    #[serde(rename = "w-pool")]
    WPool,
}

fn fifth() -> f64 {
    0.2
}

impl ScgptConfig {
    /// Reads and checks an `args.json`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Parse`], and those of [`validate`](Self::validate).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let config: Self = load::config(path, "scGPT")?;
        config.validate()?;
        Ok(config)
    }

    /// Refuses what no scGPT can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        load::check_sizes(&[("embsize", self.embsize), ("nheads", self.nheads), ("d_hid", self.d_hid)])?;
        load::check_layers("nlayers", self.nlayers)?;
        load::check_heads("nheads", self.nheads, "embsize", self.embsize)?;
        load::check_share("dropout", self.dropout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str =
        r#"{"embsize": 8, "nheads": 2, "d_hid": 16, "nlayers": 1, "fp16": true, "lr": 0.0001}"#;

    #[test]
    fn fields_that_are_absent_have_the_released_values() {
        let config: ScgptConfig = serde_json::from_str(TINY).unwrap();
        config.validate().unwrap();
        assert_eq!(config.input_emb_style, InputEmbStyle::Continuous);
        assert_eq!((config.cell_emb_style, config.pre_norm), (CellEmbStyle::Cls, false));
        let pooled = TINY.replace('{', r#"{"cell_emb_style": "avg-pool", "input_emb_style": "category","#);
        let config: ScgptConfig = serde_json::from_str(&pooled).unwrap();
        assert_eq!(config.cell_emb_style, CellEmbStyle::AvgPool);
        assert_eq!(config.input_emb_style, InputEmbStyle::Category);
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let message = |from: &str, to: &str| {
            let text = TINY.replacen(from, to, 1);
            assert_ne!(text, TINY);
            match serde_json::from_str::<ScgptConfig>(&text) {
                Ok(config) => config.validate().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            }
        };
        let expected = "`nheads` of the configuration is 3, expected a divisor of `embsize` 8";
        assert_eq!(message(r#""nheads": 2"#, r#""nheads": 3"#), expected);
        assert!(message(r#""nlayers": 1"#, r#""nlayers": 0"#).contains("`nlayers`"));
        assert!(message("{", r#"{"dropout": 1.5,"#).contains("at least 0 and below 1"));
        assert!(message("{", r#"{"input_emb_style": "binary","#).contains("unknown variant `binary`"));
    }
}
