-- What Horizon's exchange does not have: trust, signed documents, the catalog, stamps, node reports.
-- Envelopes and catalogs are kept as the bytes they are; a digest is 64 hexadecimal digits.

-- The chain of an organization's trust documents, from version 1 on without a gap.
CREATE TABLE trusts (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    sha256       TEXT NOT NULL,
    envelope     BYTEA NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, version)
);

-- Signed services, patterns and policies. They outlive the rows that hzn sees, and their publishers.
CREATE TABLE signed_documents (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    sha256       TEXT NOT NULL,
    document_key TEXT NOT NULL,
    epoch        BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    owner        TEXT NOT NULL,
    envelope     BYTEA NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, sha256)
);
CREATE UNIQUE INDEX signed_documents_by_key ON signed_documents (org, document_key, epoch, seq);

-- The newest few catalogs of an organization.
CREATE TABLE catalogs (
    org     TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (org, version)
);

-- The newest stamp of an organization, and what it vouches for.
CREATE TABLE stamps (
    org             TEXT PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
    seq             BIGINT NOT NULL,
    trust_version   BIGINT NOT NULL,
    catalog_version BIGINT NOT NULL,
    issued          BIGINT NOT NULL,
    envelope        BYTEA NOT NULL
);

-- How often a login was replaced, so that a sealed copy can be told from a newer one.
ALTER TABLE dockauths ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- The newest report of each node.
CREATE TABLE node_reports (
    org          TEXT NOT NULL,
    node_id      TEXT NOT NULL,
    document     TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, node_id),
    FOREIGN KEY (org, node_id) REFERENCES nodes (org, id) ON DELETE CASCADE
);
