//! Types and pure decisions shared by the kernel programs and user space.
#![cfg_attr(not(any(test, feature = "user")), no_std)]
