-- What each version of a catalog brought: a node that has an earlier one asks for the difference.

CREATE TABLE catalog_changes (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    document_key TEXT NOT NULL,
    epoch        BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    sha256       TEXT NOT NULL,
    state        TEXT NOT NULL,
    PRIMARY KEY (org, version)
);
