//! What a token is asked for.

use std::collections::BTreeSet;

use crate::{
    registry::client::{api_path, logins::rights::Access},
    types::Repository,
};

/// What a request needs to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::registry::client) struct Scope {
    /// Where; none: in the registry as a whole.
    repository: Option<Repository>,
    /// Parted by commas, as they stand in the request for a token.
    actions: &'static str,
}

pub(in crate::registry::client) type Scopes = BTreeSet<Scope>;

impl Scope {
    pub(in crate::registry::client) fn pull(repository: &Repository) -> Self {
        Self { repository: Some(repository.clone()), actions: "pull" }
    }

    pub(in crate::registry::client) fn push(repository: &Repository) -> Self {
        Self { repository: Some(repository.clone()), actions: "pull,push" }
    }

    pub(in crate::registry::client) fn delete(repository: &Repository) -> Self {
        Self { repository: Some(repository.clone()), actions: "pull,delete" }
    }

    /// To see which repositories there are.
    pub(in crate::registry::client) fn catalog() -> Self {
        Self { repository: None, actions: "*" }
    }

    /// `repository:NAME:ACTIONS`.
    pub(super) fn text(&self) -> String {
        match &self.repository {
            Some(repository) => format!("repository:{}:{}", api_path(repository), self.actions),
            None => format!("registry:catalog:{}", self.actions),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self.repository == other.repository
            && other.actions.split(',').all(|it| self.actions.split(',').any(|own| own == it))
    }
}

/// What a token that opens `access` lacks of `wanted`, in words: `its token allows …, and not …`.
pub(super) fn lacking(wanted: &Scopes, access: &[Access]) -> Option<String> {
    wanted.iter().find_map(|scope| {
        let repository = scope.repository.as_ref()?;
        let name = api_path(repository);
        let here = access.iter().filter(|it| it.kind == "repository" && it.name == name);
        let held: BTreeSet<&str> = here.flat_map(|it| &it.actions).map(String::as_str).collect();
        let known = ["pull", "push", "delete", "*"];
        let held: Vec<&str> = known.into_iter().filter(|it| held.contains(it)).collect();
        let lacked =
            scope.actions.split(',').find(|it| !held.contains(it) && !held.contains(&"*"))?;
        let held = match held.as_slice() {
            [] => "nothing".to_owned(),
            held => format!("`{}`", held.join(",")),
        };
        Some(format!("its token allows {held} in {name}, and not `{lacked}`"))
    })
}

/// The repository whose login counts: the one that is changed, or the first.
pub(super) fn main_of(scopes: &Scopes) -> Option<&Repository> {
    let changed = scopes.iter().find(|scope| scope.actions != "pull");
    changed.or(scopes.first())?.repository.as_ref()
}

/// Whether a token for `held` opens what one for `wanted` does, with the same login.
pub(super) fn covers(held: &Scopes, wanted: &Scopes) -> bool {
    held == wanted
        || !wanted.is_empty()
            && main_of(held) == main_of(wanted)
            && wanted.iter().all(|scope| held.iter().any(|own| own.covers(scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_lacks_is_told() {
        let repository: Repository = "h.io/team/app".parse().unwrap();
        let access = |actions: &[&str]| {
            let actions = actions.iter().map(|it| (*it).to_owned()).collect();
            [Access { kind: "repository".to_owned(), name: "team/app".to_owned(), actions }]
        };
        let push = Scopes::from([Scope::push(&repository)]);
        let told = lacking(&push, &access(&["pull", "\x1b[2J"])).unwrap();
        assert_eq!(told, "its token allows `pull` in team/app, and not `push`");
        let told = lacking(&push, &[]).unwrap();
        assert_eq!(told, "its token allows nothing in team/app, and not `pull`");
        assert_eq!(lacking(&push, &access(&["push", "pull"])), None);
        assert_eq!(lacking(&push, &access(&["*"])), None);
    }

    #[test]
    fn a_wider_token_opens_what_a_narrow_one_does() {
        let [a, b]: [Repository; 2] = ["h.io/a", "h.io/b"].map(|it| it.parse().unwrap());
        let pull = Scopes::from([Scope::pull(&a)]);
        let push = Scopes::from([Scope::push(&a)]);
        let mount = Scopes::from([Scope::push(&a), Scope::pull(&b)]);
        assert!(covers(&push, &pull) && covers(&mount, &pull) && covers(&mount, &push));
        assert!(!covers(&pull, &push) && !covers(&push, &mount));
        assert_eq!(main_of(&mount), Some(&a));
        // The login of the other repository may be another one.
        assert!(!covers(&mount, &Scopes::from([Scope::pull(&b)])));
        assert!(!covers(&push, &Scopes::new()) && covers(&Scopes::new(), &Scopes::new()));
    }
}
