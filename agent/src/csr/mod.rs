//! The certificate request: made once per key, found again after a restart, and waited for.

mod name;
mod object;
mod request;
#[cfg(test)]
pub(crate) mod testdata;

pub use name::request_name;
pub use object::{USAGES, common_name};
pub use request::{Answer, CsrError, Patience, Wait, request};

/// The organization of every node's certificate.
pub const ORGANIZATION: &str = "system:nodes";
