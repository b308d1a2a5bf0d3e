//! The stable codes of errors, with the exit code of each: `edgepost explain` prints this table.

/// How the program ends: what a script can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It failed in a way that has no code of its own.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// A file or setting is missing or wrong.
    Config = 3,
    /// A server refused who asked, or what they may do.
    Auth = 4,
    /// A server cannot be reached, or breaks off.
    Network = 5,
    /// What was named does not exist.
    NotFound = 6,
    /// Something else stands there already.
    Conflict = 7,
    /// A signature, digest or trust rule refused it.
    Trust = 8,
    /// It does not fit the node.
    Incompatible = 9,
    /// It took too long.
    Timeout = 10,
    /// The user stopped it.
    Cancelled = 130,
}

/// A stable error code. Codes are never reused; the first two digits are the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    /// `E` and four digits.
    pub(crate) id: &'static str,
    /// How the program ends with it.
    pub(crate) exit: Exit,
    /// What it means, in a sentence or two.
    pub(crate) meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $exit:ident, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub(crate) const $name: Code = Code { id: $id, exit: Exit::$exit, meaning: $meaning };
        )*

        /// Every code, in order.
        pub(crate) const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    FAILED = "E0100", Failed, "Something failed that has no code of its own; the text says what.";
    FILES = "E0101", Failed, "A file or folder of this machine cannot be read or written.";
    ENGINE = "E0102", Failed, "The container engine (Docker or Podman) refused or cannot be reached.";
    STEP = "E0103", Failed, "A step of the demonstration did not hold; its line says which and why.";
    SERVE = "E0104", Failed, "A server could not start: its address is taken, or its files are not usable.";
    VAULT = "E0105", Failed, "Logins in the exchange's database cannot be decrypted: their rows were altered, or the key file is another one's. They must be set anew.";
    PART_MISSING = "E0106", Failed, "A server lacks a part of its data folder that its first start made: its database, a key, its accounts or its images. It makes no new one in silence; --create-missing PART does it on purpose.";
    USAGE = "E0200", Usage, "The command line cannot be understood.";
    REGISTRY_LOGIN = "E0201", Usage, "A value of -r is not host[:port]:user:token, or is for a registry that no image of the service is in. It is never skipped, because a service without its pull credentials fails on the node.";
    SETTINGS = "E0300", Config, "A setting that the command needs is missing: the exchange's URL, the organization or the credentials.";
    DEFINITION = "E0301", Config, "A definition, pattern or policy file has problems; each is listed with its line and column.";
    KEY = "E0302", Config, "A signing key cannot be read, does not exist, or its file may be read by others.";
    SOURCE = "E0303", Config, "An image of the definition is in none of the places that were searched.";
    NODE = "E0304", Config, "The node's folder is missing, unfinished or damaged; `edgepost agent register` makes it.";
    FOREIGN_LAYERS = "E0305", Config, "The image has layers that only their maker may serve, such as those of Windows, and the registry takes no image without them.";
    DRAFT = "E0306", Config, "A file is no draft of a trust document, or is damaged; `edgepost trust` writes them.";
    BUNDLE = "E0307", Config, "A file is no bundle, or is damaged, or is of another organization; `edgepost bundle export` writes them.";
    EXPOSED = "E0308", Config, "A server would speak plain HTTP with other machines, or let everyone push and pull there. Each needs a flag that says so.";
    EXCHANGE_LOGIN = "E0400", Auth, "The exchange does not know the user or node, or the password is wrong.";
    EXCHANGE_DENIED = "E0401", Auth, "The exchange knows who asks, and does not allow it.";
    REGISTRY_AUTH = "E0402", Auth, "The registry does not accept the credentials.";
    REGISTRY_DENIED = "E0403", Auth, "The registry accepts the credentials, and does not allow this with them: a pull-only token cannot push, and a new grant may take ten minutes.";
    REGISTRY_FULL = "E0404", Auth, "The registry has no room left: its disk is full, or the quota of this account is used up.";
    REGISTRY_KEEPS = "E0405", Auth, "The registry deletes nothing, or not this by itself; its operator decides that.";
    ROOT_ONLY = "E0406", Auth, "Only root of this machine may say this.";
    EXCHANGE_AWAY = "E0500", Network, "The exchange cannot be reached, or broke off.";
    REGISTRY_AWAY = "E0501", Network, "A registry cannot be reached, or broke off. Nothing was published; the same command goes on where it stopped.";
    TLS = "E0502", Network, "A server's certificate is not trusted, or does not fit its name.";
    ANSWER = "E0503", Network, "A server answered with something that is not what its protocol says.";
    REGISTRY_LIMIT = "E0504", Network, "A proxy before the registry takes no requests of this length.";
    NOT_A_REGISTRY = "E0505", Network, "A web server answered that is no registry: the address is wrong, something stands before the registry, or its route is missing.";
    REGISTRY_BUSY = "E0506", Network, "The registry wants fewer requests of this account or address for a while.";
    NOT_FOUND = "E0600", NotFound, "What was named does not exist in the exchange.";
    IMAGE_NOT_FOUND = "E0601", NotFound, "The registry does not have the image, or does not show it to these credentials.";
    CONFLICT = "E0700", Conflict, "Other content stands under this name and version. Raise the version, or say --overwrite.";
    IN_USE = "E0701", Conflict, "Another process works on the folder: a hub, an exchange, a registry or an agent. Stop it first, or choose another folder.";
    DIFFERENT = "E0702", Conflict, "A file differs from what is live under its name; the differences were printed.";
    EXISTS = "E0703", Conflict, "A file that would be made is there already. Nothing was made or changed.";
    SIGNED = "E0704", Conflict, "This key has signed the draft already: somebody else must, or it can be published.";
    DRAFTS_DIFFER = "E0705", Conflict, "Drafts that are merged say different things; only signatures of one and the same are brought together.";
    REFUSED = "E0800", Trust, "The trust rules refuse it; the text names the attack it looks like.";
    CONTENT = "E0801", Trust, "Bytes are not those that the digest names.";
    SIGNER = "E0802", Trust, "The key may not sign this trust document: it is no root key of the version before or of this one, or is revoked.";
    UNSIGNED = "E0803", Trust, "Too few root keys have signed a trust document; the text says how many are missing.";
    CLOCK = "E0804", Trust, "The clocks of this machine and of the exchange differ by more than an hour, and nothing was signed: nodes would take a time in the future for the present, and what follows for expired.";
    UNFIT = "E0900", Incompatible, "Nothing that is published fits this node.";
    DOES_NOT_FIT = "E0901", Incompatible, "What was asked about would not run on the node, or on any; each line with FAIL says why, and where that is asked.";
    TIMEOUT = "E1000", Timeout, "It took longer than allowed.";
    CANCELLED = "E1300", Cancelled, "It was stopped by Ctrl-C. What was pushed stays and is not pushed again.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_says_its_exit_code() {
        for code in ALL {
            let digits: i32 = code.id[1..3].parse().unwrap();
            let expected = if code.exit == Exit::Cancelled { 13 } else { code.exit as i32 };
            assert_eq!(digits, expected, "{}", code.id);
        }
    }

    #[test]
    fn no_code_is_used_twice() {
        assert_eq!(ALL.iter().map(|code| code.id).collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
