//! Why something was not published.

use std::collections::BTreeSet;

use crate::{
    document::{
        deployment::{ParseDeploymentError, PinError},
        difference::Change,
        matching::required::RequiredError,
        service_body::ServiceBodyError,
    },
    exchange::{
        api::BadCredential,
        client::{ClockGap, ExchangeError, WalkError},
    },
    image::{ImageError, ManifestError},
    publish::required::MissingVersion,
    registry::client::RegistryError,
    sign::compat::horizon::HorizonKeyError,
    trust::{Refusal, SealError},
    types::{
        DocumentKey, ImageRef, JsonProblem, OrgId, PinnedImage, Platform, Registry, Subject,
        Version,
    },
};

/// Why something was not published. Whatever it is, nothing became visible.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The clocks of this machine and of the exchange differ: a signed time would be wrong.
    #[error(transparent)]
    Clock(#[from] ClockGap),
    /// The image is in none of the places searched.
    #[error("image {image} is in none of the sources")]
    NotFound {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What each place said.
        searched: Vec<String>,
    },
    /// A source has the image, and it cannot be read.
    #[error("image {image} cannot be read from its source")]
    Source {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The manifest is not one that can be understood.
    #[error("the manifest of {image} cannot be understood")]
    Manifest {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The image does not run on the service's architecture.
    #[error("image {image} does not run on {wanted}")]
    WrongPlatform {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What the service says.
        wanted: Box<Platform>,
        /// What the image says; `None`: an index without it.
        has: Option<Box<Platform>>,
    },
    /// An index over indexes, which no engine runs.
    #[error("image {image} is an index of indexes")]
    NestedIndex {
        /// What the definition calls it.
        image: Box<ImageRef>,
    },
    /// The registry failed.
    #[error("image {image} did not get through its registry")]
    Registry {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What the registry did.
        source: Box<RegistryError>,
    },
    /// The image is there, but not for those who have to pull it.
    #[error("image {image} was pushed, and cannot be pulled with the credentials that nodes get")]
    NotPullable {
        /// The image by its digest.
        image: Box<PinnedImage>,
        /// What the registry said; `None`: it says that there is no such image.
        source: Option<Box<RegistryError>>,
    },
    /// The registry refuses a login for nodes. Nothing was pushed.
    #[error("the registry of {image} refuses the login that nodes would get")]
    PullLoginRefused {
        /// What the definition calls it.
        image: Box<ImageRef>,
        /// What the registry said.
        source: Box<RegistryError>,
    },
    /// A login for nodes is for a registry that no image is in.
    #[error("no image of the service is in {registry}, so that no node would use its login")]
    UnusedLogin {
        /// The registry of the login.
        registry: Registry,
        /// The registries of the images.
        used: BTreeSet<Registry>,
    },
    /// There are more logins than a service may have.
    #[error("there are more logins for nodes than a service may have")]
    TooManyLogins,
    /// Horizon's exchange takes versions of numbers and dots alone.
    #[error("this exchange is Horizon's own, and does not take the version {0}")]
    HorizonVersion(Version),
    /// The deployment came signed, and cannot be published as it is: its images must have digests.
    #[error("the signed deployment of the definition cannot be published")]
    Presigned(#[source] ParseDeploymentError),
    /// The deployment could not be pinned.
    #[error("the deployment could not be pinned")]
    Pin(#[source] PinError),
    /// The pinned deployment is not one that a node could read.
    #[error("the pinned deployment cannot be read back")]
    Body(#[source] ServiceBodyError),
    /// The cluster deployment names an archive that was not read.
    #[error("the archive of the cluster deployment was not given")]
    NoOperator,
    /// A service that it requires is not published.
    #[error("a service that it requires is not published")]
    MissingRequirement {
        /// Which, and what requires it.
        source: RequiredError,
        /// The versions that there are, each with its architectures.
        exists: Vec<String>,
    },
    /// What it requires cannot run together, or not where it runs.
    #[error("what it requires cannot run with it")]
    Requirement(#[source] RequiredError),
    /// A pattern or a policy offers what is not published.
    #[error("{0} offers services that are not published")]
    Unpublished(DocumentKey, Vec<MissingVersion>),
    /// The organization's trust refuses its own exchange's answer, or the document.
    #[error("the organization's trust refuses it")]
    Trust(#[source] Refusal),
    /// The organization has no trust document yet.
    #[error("organization {0} has no trust document yet")]
    NoTrust(OrgId),
    /// The organization's trust lets nobody sign this.
    #[error("no rule of the organization's trust lets anybody sign {0}")]
    NoRule(DocumentKey),
    /// No state of this document can come after the one that stands there.
    #[error("the sequence numbers of {0} are used up")]
    SeqUsedUp(DocumentKey),
    /// The key may not sign this.
    #[error("no key that was given may sign {0}")]
    NoKey(DocumentKey),
    /// The content says that it is of another organization, or has another name.
    #[error("{subject} of {org} cannot be {contradiction}")]
    Contradiction {
        /// The organization it is published in.
        org: OrgId,
        /// What it is published as.
        subject: Box<Subject>,
        /// What it says itself.
        contradiction: String,
    },
    /// Other content stands under this name and version.
    #[error("{key} is published with other content")]
    Different {
        /// The document.
        key: DocumentKey,
        /// Where the two differ: `old` is what is live.
        changes: Vec<Change>,
    },
    /// Nothing stands under this name that could be changed.
    #[error("{0} is not published")]
    Absent(DocumentKey),
    /// What stands there was signed by others, and the exchange's word alone says that they may.
    #[error("{0} was signed by none of the keys that were given")]
    NotOurs(DocumentKey),
    /// A document of the exchange cannot be read.
    #[error("the published {key} cannot be read")]
    Published {
        /// The document.
        key: DocumentKey,
        /// What is wrong with it.
        source: JsonProblem,
    },
    /// The Horizon signature could not be made.
    #[error("the Horizon signature could not be made")]
    HorizonKey(#[source] HorizonKeyError),
    /// A Horizon exchange takes only documents with its own signature.
    #[error("this exchange is Horizon's own, and takes only an RSA signature")]
    NeedsHorizonKey,
    /// The document could not be sealed.
    #[error("the document could not be sealed")]
    Seal(#[source] SealError),
    /// A login for nodes cannot be kept.
    #[error("a login for nodes cannot be kept")]
    Login(#[source] BadCredential),
    /// The document could not be written as JSON.
    #[error("the document could not be encoded")]
    Encode(#[source] JsonProblem),
    /// The exchange failed or refused.
    #[error("the exchange did not take it")]
    Exchange(#[source] ExchangeError),
}

impl PublishError {
    /// A registry's failure.
    pub(super) fn of_registry(image: &ImageRef, source: RegistryError) -> Self {
        Self::Registry { image: Box::new(image.clone()), source: Box::new(source) }
    }

    /// A source's failure; one of a registry is told as such.
    pub(super) fn of(image: &ImageRef, source: ImageError) -> Self {
        let image = Box::new(image.clone());
        match source {
            ImageError::Source { origin, source } => match source.downcast() {
                Ok(error) => Self::Registry { image, source: error },
                Err(source) => {
                    Self::Source { image, source: ImageError::Source { origin, source } }
                }
            },
            source => Self::Source { image, source },
        }
    }
}

impl From<WalkError> for PublishError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Exchange(error) => Self::Exchange(error),
            WalkError::Refused(refusal) => Self::Trust(refusal),
        }
    }
}
