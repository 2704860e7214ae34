//! Statistics beside SciPy, statsmodels and scikit-learn.
