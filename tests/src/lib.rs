//! Harness of the kernel tests.
