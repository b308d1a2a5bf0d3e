//! Who may do what: Horizon's access list, one method a right.
//!
//! A thing that does not exist counts as the caller's own, so that asking for it answers "not
//! found" rather than "denied".

use super::{
    ApiError,
    caller::{Caller, ROOT, Role},
    signed_names::{HorizonWrite, SignedPart, WriteTarget},
};
use crate::{
    exchange::{
        api::{ORG_TYPE_IBM, PatternRequest, PolicyRequest, ServiceRequest, UserRequest},
        store::{Author, HorizonName, NameClaims, Ownership, Permit, Posted, UserRecord},
    },
    types::{DocumentKey, DocumentKind, NodeId, OrgId, Subject, UserId},
};

/// What an operation needs of the caller, for a refusal.
type Right = Result<(), ApiError>;

impl Caller {
    /// See the numbers of the whole exchange.
    pub(crate) fn may_read_status(&self) -> Right {
        self.needs(self.user().is_some(), "STATUS", "admin")
    }

    /// See how many nodes each organization has.
    pub(crate) fn may_read_nodes_of_orgs(&self) -> Right {
        let allowed = self.manages_orgs() || self.administers(&self.org);
        self.needs(allowed, "ORGSTATUS", "admin")
    }

    /// Make or remove an organization.
    pub(crate) fn may_make_org(&self, org: &OrgId) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => org.as_str() != ROOT,
            _ => false,
        };
        self.needs(allowed, "CREATE_ORGS", org)
    }

    /// See an organization.
    pub(crate) fn may_read_org(&self, org: &OrgId) -> Right {
        let allowed = match self.role {
            Role::Root(_) | Role::HubAdmin(_) => true,
            Role::Admin(_) | Role::User(_) => self.org == *org || org.as_str() == ORG_TYPE_IBM,
            Role::Node(_) => self.org == *org,
        };
        self.needs(allowed, "READ_OTHER_ORGS", org)
    }

    /// Change what is said about an organization.
    pub(crate) fn may_change_org(&self, org: &OrgId) -> Right {
        let allowed = match self.role {
            Role::Root(_) | Role::HubAdmin(_) => true,
            Role::Admin(_) => self.org == *org,
            _ => false,
        };
        self.needs(allowed, "WRITE_MY_ORG", org)
    }

    /// Say which kind an organization is.
    pub(crate) fn may_set_org_type(&self, org: &OrgId) -> Right {
        self.needs(self.manages_orgs(), "SET_IBM_ORG_TYPE", org)
    }

    /// Lift the limits of an organization, which those set who manage organizations.
    pub(crate) fn may_lift_limits(&self, org: &OrgId) -> Right {
        self.needs(self.manages_orgs(), "WRITE_OTHER_ORGS", org)
    }

    /// Make a user like this.
    pub(crate) fn may_make_user(&self, org: &OrgId, id: &UserId, user: &UserRequest) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => user.admin || user.hub_admin,
            Role::Admin(_) => self.org == *org && !user.hub_admin,
            _ => false,
        };
        self.needs(allowed, "CREATE_USER", format_args!("{org}/{id}"))
    }

    /// See all users of an organization.
    pub(crate) fn may_read_users(&self, org: &OrgId) -> Right {
        let allowed = self.manages_orgs() || self.administers(org);
        self.needs(allowed, "READ_ALL_USERS", format_args!("{org}/*"))
    }

    /// See a user.
    pub(crate) fn may_read_user(&self, org: &OrgId, id: &UserId) -> Right {
        let allowed = self.manages_orgs() || self.administers(org) || self.is_user(org, id);
        self.needs(allowed, "READ_ALL_USERS", format_args!("{org}/{id}"))
    }

    /// Change or remove a user.
    pub(crate) fn may_change_user(
        &self,
        org: &OrgId,
        id: &UserId,
        held: Option<&UserRecord>,
    ) -> Right {
        let is_root = org.as_str() == ROOT && id.as_str() == ROOT;
        let allowed = self.is_user(org, id)
            || match self.role {
                Role::Root(_) => true,
                _ if is_root => false,
                Role::HubAdmin(_) => held.is_none_or(|it| it.admin || it.hub_admin),
                Role::Admin(_) => self.org == *org && held.is_none_or(|it| !it.hub_admin),
                _ => false,
            };
        self.needs(allowed, "WRITE_ALL_USERS", format_args!("{org}/{id}"))
    }

    /// Post something in an organization.
    pub(crate) fn may_post<T: Posted>(&self, org: &OrgId, id: &str) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::Admin(_) | Role::User(_) => self.org == *org,
            _ => false,
        };
        self.needs_of::<T>(allowed, "CREATE", org, id)
    }

    /// See something posted.
    pub(crate) fn may_read<T: Posted>(
        &self,
        org: &OrgId,
        id: &str,
        held: Option<&Ownership>,
    ) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => false,
            _ => self.org == *org || held.is_none_or(|it| it.public),
        };
        self.needs_of::<T>(allowed, "READ", org, id)
    }

    /// Change or remove something posted.
    pub(crate) fn may_change<T: Posted>(
        &self,
        org: &OrgId,
        id: &str,
        held: Option<&Ownership>,
    ) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::Admin(_) => self.org == *org,
            Role::User(_) => self.org == *org && held.is_none_or(|it| it.owner == self.name()),
            _ => false,
        };
        self.needs_of::<T>(allowed, "WRITE", org, id)
    }

    /// Publish a signed document under a name.
    pub(crate) fn may_publish(
        &self,
        org: &OrgId,
        (subject, key): (&Subject, &DocumentKey),
        claims: &NameClaims,
    ) -> Right {
        match subject {
            Subject::Service { .. } => self.may_post::<ServiceRequest>(org, key.id())?,
            Subject::Pattern(_) => self.may_post::<PatternRequest>(org, key.id())?,
            Subject::Policy(_) => self.may_post::<PolicyRequest>(org, key.id())?,
            Subject::NodePolicy(node) => {
                let owner = claims.has_row().then(|| claims.holder()).flatten();
                self.may_publish_for_node(org, node, owner)?;
            }
        }
        match claims.holder() {
            Some(holder) if !self.administers(org) && holder != self.name() => {
                let msg = format!("Access denied: {key} of {org} belongs to {holder}");
                Err(ApiError::AccessDenied(msg))
            }
            _ => Ok(()),
        }
    }

    /// Report about a node: the node alone.
    pub(crate) fn may_report(&self, org: &OrgId, id: &NodeId) -> Right {
        if self.org == *org && self.node() == Some(id) {
            return Ok(());
        }
        let msg = format!("Access denied: only node {org}/{id} reports about itself");
        Err(ApiError::AccessDenied(msg))
    }

    /// Change whom an organization trusts.
    pub(crate) fn may_change_trust(&self, org: &OrgId) -> Right {
        if self.administers(org) {
            return Ok(());
        }
        let msg = format!("Access denied: only an admin of {org} may change whom it trusts");
        Err(ApiError::AccessDenied(msg))
    }

    /// The decision on a write to what hangs on something posted and is in no signed document: its keys.
    pub(crate) fn permit_change<'a, T: Posted>(
        &'a self,
        org: &'a OrgId,
        id: &'a str,
    ) -> Permit<'a, Ownership, (), ApiError> {
        self.permit(move |caller, held: Option<Ownership>| {
            caller.may_change::<T>(org, id, held.as_ref())
        })
    }

    /// The decision on a write by Horizon's API to something posted, or to a part of it that is signed with it.
    pub(crate) fn permit_horizon<'a, T: Posted>(
        &'a self,
        write: HorizonWrite,
        target: WriteTarget<'a>,
    ) -> Permit<'a, HorizonName<Ownership>, (), ApiError> {
        self.permit(move |caller, name: Option<HorizonName<Ownership>>| {
            let (row, is_signed) = name.map_or((None, false), |it| (it.row, it.is_signed));
            caller.may_change::<T>(target.org, target.id, row.as_ref())?;
            write.check(&target, is_signed)
        })
    }

    /// The decision on a write to what a node says about itself.
    pub(crate) fn permit_node<'a>(
        &'a self,
        org: &'a OrgId,
        id: &'a NodeId,
    ) -> Permit<'a, Ownership, (), ApiError> {
        self.permit(move |caller, held: Option<Ownership>| {
            caller.may_change_node(org, id, held.as_ref().map(|it| it.owner.as_str()))
        })
    }

    /// The decision on a write to what a node says about itself, with the user who writes it, if it is one.
    pub(crate) fn permit_node_part<'a>(
        &'a self,
        org: &'a OrgId,
        id: &'a NodeId,
        write: HorizonWrite,
    ) -> Permit<'a, HorizonName<Ownership>, Option<Author>, ApiError> {
        self.permit(move |caller, name: Option<HorizonName<Ownership>>| {
            let (row, is_signed) = name.map_or((None, false), |it| (it.row, it.is_signed));
            caller.may_change_node(org, id, row.as_ref().map(|it| it.owner.as_str()))?;
            let author = caller.author(org);
            // The node itself says what it measures, which a signed policy does not replace.
            let part = SignedPart::Whole(DocumentKind::NodePolicy);
            let target = WriteTarget { org, id: id.as_str(), part };
            write.check(&target, is_signed && author.is_some())?;
            Ok(author)
        })
    }

    /// The decision on a write to a user, or to what hangs on it.
    pub(crate) fn permit_user<'a>(
        &'a self,
        org: &'a OrgId,
        id: &'a UserId,
    ) -> Permit<'a, UserRecord, (), ApiError> {
        self.permit(move |caller, held: Option<UserRecord>| {
            caller.may_change_user(org, id, held.as_ref())
        })
    }

    /// See a node; `owner` is `org/user`, if there is such a node.
    pub(crate) fn may_read_node(&self, org: &OrgId, id: &NodeId, owner: Option<&str>) -> Right {
        let right = self.right_to("READ", org, "NODES");
        self.needs(self.has_node(org, id, owner), &right, format_args!("{org}/{id}"))
    }

    /// Make, change or remove a node, and what it says about itself.
    pub(crate) fn may_change_node(&self, org: &OrgId, id: &NodeId, owner: Option<&str>) -> Right {
        let right = self.right_to("WRITE", org, "NODES");
        self.needs(self.has_node(org, id, owner), &right, format_args!("{org}/{id}"))
    }

    /// Publish a node's policy: whoever may change the node, but not the node itself.
    pub(crate) fn may_publish_for_node(
        &self,
        org: &OrgId,
        id: &NodeId,
        owner: Option<&str>,
    ) -> Right {
        let right = self.right_to("WRITE", org, "NODES");
        let allowed = self.user().is_some() && self.has_node(org, id, owner);
        self.needs(allowed, &right, format_args!("{org}/{id}"))
    }

    /// List the nodes of an organization; a plain user is shown its own.
    pub(crate) fn may_list_nodes(&self, org: &OrgId) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => false,
            _ => self.org == *org,
        };
        self.needs(allowed, "READ_OTHER_ORGS", format_args!("{org}/*"))
    }

    /// Read the feed of an organization.
    pub(crate) fn may_read_changes(&self, org: &OrgId) -> Right {
        let allowed = match self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => false,
            _ => self.org == *org,
        };
        self.needs(allowed, "READ_OTHER_ORGS", org)
    }

    /// See the number of the newest change.
    pub(crate) fn may_read_newest_change(&self) -> Right {
        let allowed = matches!(self.role, Role::Root(_) | Role::Admin(_) | Role::Node(_));
        self.needs(allowed, "READ_CHANGES", "maxchangeid")
    }

    /// Whether it is root or a hub administrator.
    pub(crate) fn manages_orgs(&self) -> bool {
        matches!(self.role, Role::Root(_) | Role::HubAdmin(_))
    }

    /// Change the key by which tokens are encrypted.
    pub(crate) fn may_rekey(&self) -> Right {
        self.needs(matches!(self.role, Role::Root(_)), "REKEY", "admin")
    }

    /// Whether something of `org` that belongs to `owner` is the caller's to look after. A node that
    /// is called like a user is not that user.
    pub(crate) fn keeps(&self, org: &OrgId, owner: &str) -> bool {
        self.administers(org) || (self.user().is_some() && owner == self.name())
    }

    /// Approve a node, or end its approval.
    pub(crate) fn may_approve_node(&self, org: &OrgId, id: &NodeId) -> Right {
        let right = self.right_to("WRITE", org, "NODES");
        self.needs(self.administers(org), &right, format_args!("{org}/{id}"))
    }

    /// The user that it is, as the author of what it changes in `org`; `None` for a node.
    pub(crate) fn author(&self, org: &OrgId) -> Option<Author> {
        self.user().map(|_| Author { name: self.name(), administers: self.administers(org) })
    }

    /// Whether it manages this organization.
    pub(crate) fn administers(&self, org: &OrgId) -> bool {
        match self.role {
            Role::Root(_) => true,
            Role::Admin(_) => self.org == *org,
            _ => false,
        }
    }

    fn is_user(&self, org: &OrgId, id: &UserId) -> bool {
        self.org == *org && self.user() == Some(id)
    }

    fn has_node(&self, org: &OrgId, id: &NodeId, owner: Option<&str>) -> bool {
        match &self.role {
            Role::Root(_) => true,
            Role::HubAdmin(_) => false,
            Role::Admin(_) => self.org == *org,
            Role::User(_) => self.org == *org && owner.is_none_or(|owner| owner == self.name()),
            Role::Node(own) => self.org == *org && own == id,
        }
    }

    fn needs_of<T: Posted>(&self, allowed: bool, verb: &str, org: &OrgId, id: &str) -> Right {
        let noun = match T::NOUN {
            "policy" => "BUSINESS".to_owned(),
            noun => format!("{}S", noun.to_uppercase()),
        };
        self.needs(allowed, &self.right_to(verb, org, &noun), format_args!("{org}/{id}"))
    }

    /// Horizon's word for a right, such as `WRITE_ALL_SERVICES`.
    fn right_to(&self, verb: &str, org: &OrgId, nouns: &str) -> String {
        match verb {
            _ if self.org != *org => format!("{verb}_OTHER_ORGS"),
            "CREATE" => format!("CREATE_{nouns}"),
            _ => format!("{verb}_ALL_{nouns}"),
        }
    }

    fn needs(&self, allowed: bool, right: &str, target: impl std::fmt::Display) -> Right {
        if allowed {
            return Ok(());
        }
        let who = self.name();
        Err(ApiError::AccessDenied(format!(
            "Access denied: '{who}' does not have authorization: {right} target={target}"
        )))
    }
}
