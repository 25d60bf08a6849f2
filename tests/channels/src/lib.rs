//! Simulators of the channels' APIs, with faults by seed.
