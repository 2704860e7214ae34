//! Preprocessing of single-cell counts with scanpy's names and scanpy's numbers.
