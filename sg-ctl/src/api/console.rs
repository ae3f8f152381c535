//! The console: pages for people, on the same router and the same calls as the API.
//!
//! [`router`] is mounted by [`server`](super::server) beside the API's one path, `/`. Pages call
//! [`Api::call`](super::Api::call) in process with the [`Caller`](super::Caller) of their session, so that
//! they can do no more than the API, and the audit log has them, too.

use std::sync::Arc;

use axum::Router;

use super::Api;
use crate::vpc::Store;

/// The console's paths.
pub fn router<S: Store>(_api: &Arc<Api<S>>) -> Router {
    Router::new()
}
