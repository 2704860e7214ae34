//! What can go wrong here, in words that name the place.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two inputs that go together differ in length.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// The input that does not fit.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length of the input beside it.
        expected: usize,
    },
    /// Nothing to score, split or fit.
    #[error("{what} is empty")]
    Empty {
        /// The input without entries.
        what: &'static str,
    },
    /// Every cell has the same label.
    #[error("all {n_cells} cells have the label {label:?}: there is nothing to tell apart")]
    OneClass {
        /// Number of labelled cells.
        n_cells: usize,
        /// Their label.
        label: String,
    },
    /// Every cell is of one kind where a score needs two.
    #[error("all {n_cells} cells are {kind}: there is nothing to tell apart")]
    OneKind {
        /// Number of cells.
        n_cells: usize,
        /// Which kind they are.
        kind: &'static str,
    },
    /// A class has fewer cells than there are folds.
    #[error("class {label:?} has {n_cells} cells, fewer than the {n_folds} folds")]
    ClassSmallerThanFolds {
        /// The class.
        label: String,
        /// Its number of cells.
        n_cells: usize,
        /// Folds asked for.
        n_folds: usize,
    },
    /// A class index lies outside the classes.
    #[error("{what} holds class {code}, but there are {n_classes} classes")]
    ClassCode {
        /// The input that holds it.
        what: &'static str,
        /// The index.
        code: u32,
        /// Number of classes.
        n_classes: usize,
    },
    /// A feature is NaN or infinite.
    #[error("feature {column} of row {row} is {value}")]
    NotFinite {
        /// Row of the feature matrix.
        row: usize,
        /// Column of the feature matrix.
        column: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A score, confidence or difference is NaN or infinite where it must not be.
    #[error("{what} is {value} at {at} (counted from 0), expected {expected}")]
    Value {
        /// The input that holds it.
        what: &'static str,
        /// Where.
        at: usize,
        /// The value.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// Bytes that should be a model of XGBoost are not in its format.
    #[error("not an XGBoost model in {format}")]
    XgboostSyntax {
        /// JSON or UBJSON.
        format: &'static str,
        /// Where reading stopped, and why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model of XGBoost contradicts itself, or is of a kind that cannot be read.
    #[error("`{place}` of the XGBoost model is {found}, expected {expected}")]
    XgboostModel {
        /// Path of the field.
        place: String,
        /// What it holds.
        found: String,
        /// What it could hold.
        expected: String,
    },
    /// A feature is not the one that the model was fitted on.
    #[error("feature {column} is called {found:?}, but the model was fitted on {expected:?} in its place")]
    FeatureName {
        /// Column of the feature matrix.
        column: usize,
        /// Its name.
        found: String,
        /// The name of the training feature in this column.
        expected: String,
    },
    /// A file holds no fitted model, or one that contradicts itself.
    #[error("cannot read a fitted model from `{path}`", path = path.display())]
    ModelFile {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A fitted model is in a format that this release does not know.
    #[error("`{path}` holds a fitted model of format {found}, this release reads format {expected}", path = path.display())]
    ModelVersion {
        /// The file.
        path: std::path::PathBuf,
        /// Its format.
        found: u64,
        /// The format that can be read.
        expected: u64,
    },
    /// A fitted model holds a value that no file can, such as NaN.
    #[error("the fitted `{model}` cannot be saved: {reason}")]
    ModelNotSavable {
        /// Name of the model.
        model: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No classifier has this name.
    #[error("no classifier is called {name:?}; there are {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No engine has this name.
    #[error("no engine is called {name:?}; there are {known}")]
    UnknownEngine {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An engine is not part of this build.
    #[error("the engine {engine} is not part of this build, which has {built}")]
    EngineNotBuilt {
        /// The engine, which is also the name of the cargo feature.
        engine: &'static str,
        /// The engines there are.
        built: String,
    },
    /// An engine has no such classifier.
    #[error("{engine} has no {model}; it has {known}")]
    EngineModel {
        /// The engine.
        engine: &'static str,
        /// The classifier asked for.
        model: &'static str,
        /// The classifiers it has.
        known: String,
    },
    /// An engine does not know a parameter, which is not at its default.
    #[error("`{parameter}` is set, but the {model} of {engine} has no such parameter")]
    EngineParameter {
        /// The engine.
        engine: &'static str,
        /// The classifier.
        model: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// An engine gave up.
    #[error("{engine} cannot {action} with {model}: {reason}")]
    EngineFailed {
        /// The engine.
        engine: &'static str,
        /// The classifier.
        model: &'static str,
        /// What was tried.
        action: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// No metric has this name.
    #[error("no metric is called {name:?}; there are {known}")]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A parameter is outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The range that is allowed.
        expected: &'static str,
    },
    /// A file or folder cannot be read, written or renamed.
    #[error("cannot {action} `{path}`", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Results would fall among files that are there already.
    #[error("`{path}` exists and is not empty", path = path.display())]
    NotEmpty {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// A figure or a page could not be drawn.
    #[error("cannot draw `{what}`: {reason}")]
    Draw {
        /// The file.
        what: String,
        /// What the drawing library says.
        reason: String,
    },
    /// A predicted probability is NaN or outside 0 to 1.
    #[error("the probability of class {class} for cell {cell} is {value}, expected 0 to 1")]
    Probability {
        /// Row of the probabilities.
        cell: usize,
        /// Column of the probabilities.
        class: usize,
        /// The value.
        value: f32,
    },
    /// The predicted probabilities of a cell do not sum to 1.
    #[error("the probabilities of cell {cell} sum to {sum}, expected 1")]
    ProbabilitySum {
        /// Row of the probabilities.
        cell: usize,
        /// Their sum.
        sum: f64,
    },
    /// A class has too few cells to be in both halves of a split.
    #[error("class {label:?} has {n_cells} cell, too few for both sides of a stratified split")]
    ClassTooSmallToSplit {
        /// The class.
        label: String,
        /// Its number of cells.
        n_cells: usize,
    },
    /// There are fewer groups than a split needs.
    #[error("there are {n_groups} groups, fewer than the {expected} that the split needs")]
    FewGroups {
        /// Number of different groups.
        n_groups: usize,
        /// Groups needed.
        expected: usize,
    },
    /// One side of a split has no cell of a class.
    #[error("{side} has no cell of class {label:?}")]
    ClassMissing {
        /// The training or the test set.
        side: &'static str,
        /// The class.
        label: String,
    },
    /// A split names a cell that does not exist.
    #[error("{what} holds cell {cell}, but there are {n_cells} cells")]
    CellOutOfBounds {
        /// The training or the test set.
        what: &'static str,
        /// The index.
        cell: usize,
        /// Number of cells.
        n_cells: usize,
    },
    /// A model would be asked about a cell that it learns from.
    #[error("cell {cell} is both trained on and tested")]
    TestInTraining {
        /// Index of the cell.
        cell: usize,
    },
    /// Two test sets share a cell, or one holds it twice.
    #[error("cell {cell} is tested twice, first in fold {earlier}")]
    TestedTwice {
        /// Index of the cell.
        cell: usize,
        /// The fold that tests it first, counted from 0.
        earlier: usize,
    },
    /// An ontology cannot be used as it is, or lacks a term.
    #[error("the ontology is not usable: {term:?} {reason}")]
    Ontology {
        /// Identifier or name of the term; empty for the file as a whole.
        term: String,
        /// What is wrong.
        reason: String,
    },
    /// A folder of results belongs to another plan.
    #[error("`{path}` is another plan: {}", differences.join("; "), path = path.display())]
    OtherPlan {
        /// The plan on disk.
        path: std::path::PathBuf,
        /// Each value that differs, as it is there and here.
        differences: Vec<String>,
    },
    /// Another run is writing into a folder.
    #[error("another run is at work in `{path}`", path = path.display())]
    Locked {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// A file of results is not what was written.
    #[error("`{path}` is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Results of a plan are missing.
    #[error("{n_missing} of {n_cells} results are missing in `{path}`: {}", missing.join(", "), path = path.display())]
    Incomplete {
        /// The folder.
        path: std::path::PathBuf,
        /// The first of them; the last entry says how many more there are.
        missing: Vec<String>,
        /// How many are missing.
        n_missing: usize,
        /// How many there should be.
        n_cells: usize,
    },
    /// Something is wrong with one fold of a cross-validation.
    #[error("fold {fold} (counted from 0) is not valid")]
    Fold {
        /// The fold.
        fold: usize,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A target of a transfer, or the answer about it, is not valid.
    #[error("target {name:?} cannot be scored")]
    Target {
        /// The target.
        name: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The model failed.
    #[error("the model failed in fold {fold} (counted from 0)")]
    Model {
        /// The fold.
        fold: usize,
        /// What the model said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the caller's code gave at one step of a protocol does not fit.
    #[error("{place}: the answer is not valid")]
    Answer {
        /// The step.
        place: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The caller's code failed at one step of a protocol.
    #[error("{place}: the model failed")]
    Run {
        /// The step.
        place: String,
        /// What the model said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The cells that a protocol leaves for training are all of one class.
    #[error("{place}: all {n_cells} training cells have the label {label:?}")]
    OneClassLeft {
        /// The step.
        place: String,
        /// Number of training cells.
        n_cells: usize,
        /// Their label.
        label: String,
    },
}

impl Error {
    pub(crate) fn run(place: String, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Run { place, source: source.into() }
    }

    pub(crate) fn answer(place: String, source: Self) -> Self {
        Self::Answer { place, source: Box::new(source) }
    }

    pub(crate) fn in_fold(fold: usize, source: Self) -> Self {
        Self::Fold { fold, source: Box::new(source) }
    }

    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::OneClass { .. } => Some("choose a label column with at least two values"),
            Self::OneKind { .. } => Some("score cells of both kinds together"),
            Self::ClassSmallerThanFolds { .. } => {
                Some("use fewer folds, or leave the class out (--min-cells-per-class)")
            }
            Self::NotEmpty { .. } => Some(
                "name a new folder, or allow overwriting (--force): only files of an earlier report are replaced",
            ),
            Self::OtherPlan { .. } => {
                Some("run it with the same plan, name a new folder, or start anew (--force)")
            }
            Self::Locked { .. } => Some("wait until it has ended, or name another folder"),
            Self::Damaged { .. } => Some("resume the run: what is damaged is made again"),
            Self::Incomplete { .. } => Some("resume the run, or allow missing results (--allow-missing)"),
            Self::NotFinite { .. } => Some("check the matrix for NaN before fitting"),
            Self::ClassTooSmallToSplit { .. } => Some("leave the class out with a minimum class size"),
            Self::FewGroups { .. } => Some("use fewer folds; with a single donor, split by cells instead"),
            Self::ClassMissing { .. } => {
                Some("use fewer folds, leave the class out, or allow it (`allow_missing_classes`)")
            }
            Self::TestInTraining { .. } => {
                Some("a score on training cells says nothing; make the splits with `sc_eval::split`")
            }
            Self::Probability { .. } | Self::ProbabilitySum { .. } => {
                Some("pass probabilities, not decision values or logits; a model may also give none")
            }
            Self::Ontology { .. } => Some(
                "pass a release of the Cell Ontology (cl.obo, or the JSON of CELLxGENE's ontology guide) and names that it has",
            ),
            Self::OneClassLeft { .. } => Some("ask for more training cells, or leave rare classes out"),
            Self::Fold { source, .. } | Self::Target { source, .. } | Self::Answer { source, .. } => {
                source.help()
            }
            Self::XgboostSyntax { .. } => Some(
                "write the model with XGBoost's `Booster.save_model(\"model.json\")`, version 1.6 or later",
            ),
            Self::XgboostModel { .. } => Some(
                "trees of numeric features (`booster=\"gbtree\"`) with a softmax or logistic objective can be read",
            ),
            Self::FeatureName { .. } => {
                Some("bring the features into the order of the training features (`feature_names`)")
            }
            Self::ModelFile { .. } => Some("the file was cut short or changed; save the model again"),
            Self::ModelVersion { .. } => {
                Some("read it with the release that wrote it, or fit the model again")
            }
            Self::EngineNotBuilt { .. } => {
                Some("build with the cargo feature of that name (`--features linfa,smartcore`)")
            }
            Self::EngineModel { .. } => Some("take one that it has, or the engine `own`, which has all"),
            Self::EngineParameter { .. } => Some("leave the parameter out, or take the engine `own`"),
            Self::ModelNotSavable { .. } => Some("check the scale of the training features, then fit again"),
            _ => None,
        }
    }
}
