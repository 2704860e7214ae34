//! Statistics over the cells of perturbed genes.
