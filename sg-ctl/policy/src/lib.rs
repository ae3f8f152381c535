//! Security groups as data: what users write (rule files, AWS, Terraform, CloudFormation,
//! OpenStack) becomes a [model], and the model becomes the words of a [policy image](compile).
//!
//! Pure: text and values in, values and findings out. No kernel, no files, no clock, no tasks.

pub mod compile;
pub mod explain;
pub mod export;
pub mod import;
pub mod model;
pub mod rulefile;
pub mod text;
