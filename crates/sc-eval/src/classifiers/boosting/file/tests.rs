//! Files that tell the truth, and files that lie.
