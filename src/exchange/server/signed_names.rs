//! Names of active signed documents: Horizon's API does not write them.
//!
//! Nodes run what is signed. A change of Horizon's row alone would show one document and leave the nodes with another,
//! so that it is refused, with the command that changes both.

use super::ApiError;
use crate::types::{DocumentKind, OrgId};

/// What a write by Horizon's API would do.
#[derive(Debug, Clone, Copy)]
pub(super) enum HorizonWrite {
    /// Create or change.
    Publish,
    /// Delete.
    Remove,
}

/// What such a write is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteTarget<'a> {
    pub(super) org: &'a OrgId,
    /// Its id, without the organization.
    pub(super) id: &'a str,
    pub(super) part: SignedPart,
}

/// What a signed document is projected to.
#[derive(Debug, Clone, Copy)]
pub(super) enum SignedPart {
    /// A document of this kind.
    Whole(DocumentKind),
    /// The policy that is a part of a service.
    ServicePolicy,
}

impl HorizonWrite {
    /// Refuses the write if the name is that of an active signed document.
    ///
    /// # Errors
    /// [`ApiError::AccessDenied`]: `hzn` prints its text.
    pub(super) fn check(self, target: &WriteTarget<'_>, is_signed: bool) -> Result<(), ApiError> {
        if !is_signed {
            return Ok(());
        }
        let WriteTarget { org, id, .. } = target;
        let noun = target.noun();
        Err(ApiError::AccessDenied(format!(
            "Access denied: {noun} '{org}/{id}' is published as a signed document, which only signed documents change \
             or remove; use: {}",
            self.command(target)
        )))
    }

    /// The command of Edgepost that does the same by a signed document.
    fn command(self, WriteTarget { id, part, .. }: &WriteTarget<'_>) -> String {
        use DocumentKind as K;
        match (self, part) {
            (Self::Publish, SignedPart::Whole(K::Service)) => {
                "edgepost publish FILE --overwrite".to_owned()
            }
            (Self::Remove, SignedPart::Whole(K::Service)) => {
                format!("edgepost service remove {id}")
            }
            (Self::Publish, SignedPart::Whole(K::Pattern)) => {
                format!("edgepost pattern publish FILE --name {id}")
            }
            (Self::Remove, SignedPart::Whole(K::Pattern)) => {
                format!("edgepost pattern remove {id}")
            }
            (Self::Publish, SignedPart::Whole(K::NodePolicy)) => {
                format!("edgepost policy publish --node {id} FILE")
            }
            (Self::Remove, SignedPart::Whole(K::NodePolicy)) => {
                format!("edgepost policy remove --node {id}")
            }
            (Self::Publish, SignedPart::Whole(_)) => {
                format!("edgepost policy publish {id} FILE")
            }
            (Self::Remove, SignedPart::Whole(_)) => format!("edgepost policy remove {id}"),
            (Self::Publish, SignedPart::ServicePolicy) => {
                format!("edgepost policy publish --service {id} FILE")
            }
            (Self::Remove, SignedPart::ServicePolicy) => {
                format!("edgepost policy remove --service {id}")
            }
        }
    }
}

impl WriteTarget<'_> {
    fn noun(&self) -> &'static str {
        match self.part {
            SignedPart::Whole(DocumentKind::Service) => "service",
            SignedPart::Whole(DocumentKind::Pattern) => "pattern",
            SignedPart::Whole(DocumentKind::NodePolicy) => "policy of node",
            SignedPart::Whole(_) => "policy",
            SignedPart::ServicePolicy => "policy of service",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_command_that_writes_a_signed_document() {
        let org: OrgId = "acme".parse().unwrap();
        let kinds = [
            DocumentKind::Service,
            DocumentKind::Pattern,
            DocumentKind::Policy,
            DocumentKind::NodePolicy,
        ];
        let parts = kinds.map(SignedPart::Whole).into_iter().chain([SignedPart::ServicePolicy]);
        let mut refusals = Vec::new();
        for part in parts {
            let target = WriteTarget { org: &org, id: "x", part };
            for write in [HorizonWrite::Publish, HorizonWrite::Remove] {
                write.check(&target, false).unwrap();
                let refusal = write.check(&target, true).unwrap_err().to_string();
                let (what, command) =
                    refusal.split_once(" is published as a signed document").unwrap();
                let command = command.rsplit_once("; use: ").unwrap().1;
                refusals
                    .push(format!("{} | {command}", what.trim_start_matches("Access denied: ")));
            }
        }
        let expected = [
            "service 'acme/x' | edgepost publish FILE --overwrite",
            "service 'acme/x' | edgepost service remove x",
            "pattern 'acme/x' | edgepost pattern publish FILE --name x",
            "pattern 'acme/x' | edgepost pattern remove x",
            "policy 'acme/x' | edgepost policy publish x FILE",
            "policy 'acme/x' | edgepost policy remove x",
            "policy of node 'acme/x' | edgepost policy publish --node x FILE",
            "policy of node 'acme/x' | edgepost policy remove --node x",
            "policy of service 'acme/x' | edgepost policy publish --service x FILE",
            "policy of service 'acme/x' | edgepost policy remove --service x",
        ];
        assert_eq!(refusals, expected);
    }
}
