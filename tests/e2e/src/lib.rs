//! The whole system as a black box: the real binary, real plugins.
