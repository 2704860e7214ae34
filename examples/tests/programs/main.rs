//! The programs as a user meets them: what they print, write and refuse.

mod bad_input;
mod benchmark;
mod support;
