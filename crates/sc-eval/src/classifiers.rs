//! Classifiers over [`crate::Features`].
