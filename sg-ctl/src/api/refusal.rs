//! Refusals: the one place that knows AWS's codes, and the texts that clients look for.

use std::fmt;

use sg_policy::model::check::Fault;

use crate::host::HostError;
use crate::vpc::{DocumentError, StoreError};

/// Why a call is not done: AWS's code, a sentence, and the status of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What programs look at.
    pub code: &'static str,
    /// What people read.
    pub message: String,
    /// Status of HTTP.
    pub status: u16,
}

impl Refusal {
    /// A refusal with status 400, as nearly all have.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            status: 400,
        }
    }

    const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A parameter has a value that it may not have.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    /// A parameter is missing.
    pub fn missing(what: &str) -> Self {
        let message = format!("The request must contain the parameter {what}");
        Self::new("MissingParameter", message)
    }

    /// A filter that is not known.
    pub fn filter(name: &str) -> Self {
        Self::bad(format!("The filter '{name}' is invalid"))
    }

    /// There is no such group.
    pub fn no_group(group: &str) -> Self {
        let message = format!("The security group '{group}' does not exist");
        Self::new("InvalidGroup.NotFound", message)
    }

    /// There is no such rule.
    pub fn no_rule(rule: &str) -> Self {
        let message = format!("The security group rule ID '{rule}' does not exist");
        Self::new("InvalidSecurityGroupRuleId.NotFound", message)
    }

    /// A rule that is meant by what it says is not in the group.
    pub fn no_permission() -> Self {
        let message = "The specified rule does not exist in this security group.";
        Self::new("InvalidPermission.NotFound", message)
    }

    /// There is no such prefix list.
    pub fn no_list(list: &str) -> Self {
        let message = format!("The prefix list ID '{list}' does not exist");
        Self::new("InvalidPrefixListID.NotFound", message)
    }

    /// There is no such interface.
    pub fn no_interface(interface: &str) -> Self {
        let message = format!("The networkInterface ID '{interface}' does not exist");
        Self::new("InvalidNetworkInterfaceID.NotFound", message)
    }

    /// There is no such VPC.
    pub fn no_vpc(vpc: &str) -> Self {
        let message = format!("The vpc ID '{vpc}' does not exist");
        Self::new("InvalidVpcID.NotFound", message)
    }

    /// Something depends on what was to go.
    pub fn dependency(what: &str, on: &[String]) -> Self {
        let message = format!("resource {what} has a dependent object: {}", on.join(", "));
        Self::new("DependencyViolation", message)
    }

    /// It exists here and is not to be changed so.
    pub fn not_permitted(message: impl Into<String>) -> Self {
        Self::new("OperationNotPermitted", message)
    }

    /// It exists on AWS, and has no meaning here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new("UnsupportedOperation", message)
    }

    /// More tags than there may be.
    pub fn tag_limit() -> Self {
        let message = "The maximum number of Tags for a resource has been reached.";
        Self::new("TagLimitExceeded", message)
    }

    /// More groups than an interface may carry.
    pub fn groups_per_interface() -> Self {
        let message = "The maximum number of security groups per interface has been reached.";
        Self::new("SecurityGroupsPerInterfaceLimitExceeded", message)
    }

    fn rules_per_group() -> Self {
        let message = "The maximum number of rules per security group has been reached.";
        Self::new("RulesPerSecurityGroupLimitExceeded", message)
    }

    /// Everything is right, and nothing was to be done.
    pub fn dry_run() -> Self {
        let message = "Request would have succeeded, but DryRun flag is set.";
        Self::new("DryRunOperation", message).with_status(412)
    }

    /// The signature is not that of a key: one answer for key, secret and body alike.
    pub fn auth_failure() -> Self {
        let message = "AWS was not able to validate the provided access credentials";
        Self::new("AuthFailure", message).with_status(401)
    }

    /// There is no signature.
    pub fn no_signature() -> Self {
        let message = "Request is missing Authentication Token";
        Self::new("MissingAuthenticationToken", message).with_status(403)
    }

    /// The signature is of another time.
    pub fn expired() -> Self {
        Self::new("RequestExpired", "Request has expired.")
    }

    /// The key may not do it.
    pub fn unauthorized(action: &str) -> Self {
        let message = format!("You are not authorized to perform this operation: {action}");
        Self::new("UnauthorizedOperation", message).with_status(403)
    }

    /// The request is not one of a client: a web page, another name for this host.
    pub fn foreign(message: impl Into<String>) -> Self {
        Self::new("UnauthorizedOperation", message).with_status(403)
    }

    /// The request is too large.
    pub fn too_large() -> Self {
        let message = "The request is too large: at most 1 MiB is taken.";
        Self::new("RequestEntityTooLarge", message).with_status(413)
    }

    /// Requests come too fast.
    pub fn too_fast() -> Self {
        Self::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503)
    }

    /// It may go well a moment later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("Unavailable", message).with_status(503)
    }

    /// Something failed that no request can be blamed for.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalError", message).with_status(500)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::TooManyRules { .. } => Self::rules_per_group(),
            Fault::GroupsOfInterface { .. } => Self::groups_per_interface(),
            Fault::SameName(_, name) => {
                let message = format!("The security group '{name}' already exists");
                Self::new("InvalidGroup.Duplicate", message)
            }
            _ => Self::bad(fault.to_string()),
        }
    }
}

impl From<DocumentError> for Refusal {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Fault(fault) => fault.into(),
            error => Self::not_permitted(error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Document(error) => error.into(),
            StoreError::Conflict { .. } | StoreError::Away(_) => {
                Self::unavailable(error.to_string())
            }
            StoreError::Host(error @ HostError::State(_)) => Self::unavailable(error.to_string()),
            StoreError::Host(error) => error.into(),
        }
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        let help = error.help().map(|help| format!("; {help}"));
        let message = format!("{error}{}", help.unwrap_or_default());
        if error.is_refusal() {
            Self::not_permitted(message)
        } else {
            Self::internal(message)
        }
    }
}
