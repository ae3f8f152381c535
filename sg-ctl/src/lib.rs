//! Library of `sg-ctl`.
