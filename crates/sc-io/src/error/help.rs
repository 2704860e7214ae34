//! Advice: what the user can do next. A program prints it after the cause chain.

use super::{Error, Problem};

impl Error {
    /// What can be done about it, where there is something to say.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("ask for the file to be replaced, or choose another name"),
            Self::SlotTaken { .. } => Some("ask for the slot to be replaced, or choose another name"),
            Self::NotHdf5 { .. } => Some(
                "an .h5ad file starts with \\x89HDF; a page saved in place of a download, or a compressed file, does not",
            ),
            Self::Truncated { .. } => {
                Some("the download or copy was probably cut short; fetch the file again")
            }
            Self::NotTenX { .. } => Some(
                "name the folder that holds matrix.mtx(.gz), barcodes.tsv(.gz) and genes.tsv or features.tsv(.gz)",
            ),
            Self::MissingFile { .. } => {
                Some("the files of a 10x folder belong together; copy the whole folder")
            }
            Self::NoMatrix { .. } => Some("choose the slot that holds the counts: X, raw.X or a layer"),
            Self::NotLabels { .. } => Some("choose a column of text, categories, integers or booleans"),
            #[cfg(feature = "rds")]
            Self::Rds(error) => error.help(),
            Self::FeatureOff { .. } => {
                Some("build the program with this feature, or convert the file to .h5ad")
            }
            Self::NoColumn { .. } => Some("column names are case-sensitive"),
            Self::Element { source, .. } | Self::Line { source, .. } | Self::Write { source, .. } => {
                source.help()
            }
            _ => None,
        }
    }
}

impl Problem {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Sparse(_) => Some("the matrix is damaged; do not repair it by hand, write the file again"),
            Self::NotExact { .. } => Some(
                "counts above 16 777 216 do not fit single precision; store the matrix as float64 if rounding is meant",
            ),
            Self::Encoding { .. } => {
                Some("the file may come from a newer anndata; write it with anndata 0.13 or older")
            }
            Self::Records => Some("read the file and write it again: it is then of the current format"),
            Self::Declared { .. } => Some("if the file is honest, write it again without compression"),
            Self::OtherFile { .. } => {
                Some("copy the data into one file, for example with anndata's write_h5ad")
            }
            Self::Outside { .. } => Some("the file is damaged or cut short; fetch it again"),
            Self::Invalid(error) => error.help(),
            _ => None,
        }
    }
}
