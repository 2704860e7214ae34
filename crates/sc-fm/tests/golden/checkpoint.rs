//! Files as Python writes them.

mod dictionaries;
