-- What the exchange keeps. The same text serves SQLite and PostgreSQL: placeholders are $1, types are
-- TEXT, BIGINT and BYTEA, a truth value is 0 or 1, a time is milliseconds since 1970, and what has many
-- optional parts is one JSON text (`document`) beside the columns that are searched.

-- Numbers that only rise. Raising one locks its row until the commit, so the numbers become visible in
-- their own order.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('change', 0), ('dockauth', 0);

-- Organizations and the people in them ------------------------------------------------------------------

CREATE TABLE orgs (
    id           TEXT PRIMARY KEY,
    document     TEXT NOT NULL,
    last_updated BIGINT NOT NULL
);

CREATE TABLE users (
    org           TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    id            TEXT NOT NULL,
    name          TEXT NOT NULL UNIQUE, -- org/id, as owners are named
    password_hash TEXT NOT NULL,        -- '' admits nobody
    admin         BIGINT NOT NULL,
    hub_admin     BIGINT NOT NULL,
    email         TEXT NOT NULL,
    updated_by    TEXT NOT NULL,
    last_updated  BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    org          TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    label        TEXT NOT NULL,
    description  TEXT NOT NULL,
    value_sha256 TEXT NOT NULL UNIQUE, -- of 256 random bits, so it needs no salt
    last_updated BIGINT NOT NULL,
    FOREIGN KEY (org, user_id) REFERENCES users (org, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_user ON api_keys (org, user_id);

-- Services, and what goes with one ----------------------------------------------------------------------

CREATE TABLE services (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    owner        TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    url          TEXT NOT NULL,
    version      TEXT NOT NULL,
    arch         TEXT NOT NULL,
    public       BIGINT NOT NULL,
    document     TEXT NOT NULL,
    created      BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);
CREATE INDEX services_by_url ON services (org, url, arch);
CREATE INDEX services_by_owner ON services (owner);
CREATE INDEX services_public ON services (public, org);

CREATE TABLE service_keys (
    org          TEXT NOT NULL,
    holder       TEXT NOT NULL,
    id           TEXT NOT NULL,
    content      TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, holder, id),
    FOREIGN KEY (org, holder) REFERENCES services (org, id) ON DELETE CASCADE
);

CREATE TABLE service_policies (
    org          TEXT NOT NULL,
    service_id   TEXT NOT NULL,
    document     TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, service_id),
    FOREIGN KEY (org, service_id) REFERENCES services (org, id) ON DELETE CASCADE
);

CREATE TABLE dockauths (
    id           BIGINT PRIMARY KEY,
    org          TEXT NOT NULL,
    service_id   TEXT NOT NULL,
    registry     TEXT NOT NULL,
    username     TEXT NOT NULL,
    token_sealed BYTEA NOT NULL,
    key_version  BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    FOREIGN KEY (org, service_id) REFERENCES services (org, id) ON DELETE CASCADE
);
CREATE INDEX dockauths_by_service ON dockauths (org, service_id);

-- Patterns and deployment policies ----------------------------------------------------------------------

CREATE TABLE patterns (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    owner        TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    public       BIGINT NOT NULL,
    document     TEXT NOT NULL,
    created      BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);
CREATE INDEX patterns_by_owner ON patterns (owner);

CREATE TABLE pattern_keys (
    org          TEXT NOT NULL,
    holder       TEXT NOT NULL,
    id           TEXT NOT NULL,
    content      TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, holder, id),
    FOREIGN KEY (org, holder) REFERENCES patterns (org, id) ON DELETE CASCADE
);

CREATE TABLE policies (
    org          TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    id           TEXT NOT NULL,
    owner        TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    public       BIGINT NOT NULL, -- always 0: no organization shows its policies to others
    document     TEXT NOT NULL,
    created      BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);
CREATE INDEX policies_by_owner ON policies (owner);

-- Nodes, and what each says about itself ----------------------------------------------------------------

CREATE TABLE nodes (
    org            TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    id             TEXT NOT NULL,
    owner          TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    token_hash     TEXT NOT NULL,
    pattern        TEXT NOT NULL,
    public_key     TEXT NOT NULL, -- '' until the node has registered itself
    document       TEXT NOT NULL,
    last_heartbeat BIGINT,
    last_updated   BIGINT NOT NULL,
    PRIMARY KEY (org, id)
);
CREATE INDEX nodes_by_owner ON nodes (owner);
CREATE INDEX nodes_by_pattern ON nodes (pattern);

-- A node's policy, status and errors.
CREATE TABLE node_parts (
    org          TEXT NOT NULL,
    node_id      TEXT NOT NULL,
    part         TEXT NOT NULL,
    document     TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, node_id, part),
    FOREIGN KEY (org, node_id) REFERENCES nodes (org, id) ON DELETE CASCADE
);

CREATE TABLE agreements (
    org          TEXT NOT NULL,
    node_id      TEXT NOT NULL,
    id           TEXT NOT NULL,
    document     TEXT NOT NULL,
    last_updated BIGINT NOT NULL,
    PRIMARY KEY (org, node_id, id),
    FOREIGN KEY (org, node_id) REFERENCES nodes (org, id) ON DELETE CASCADE
);

-- Changes: what the feed tells ----------------------------------------------------------------------------

CREATE TABLE changes (
    id           BIGINT PRIMARY KEY,
    org          TEXT NOT NULL,
    resource     TEXT NOT NULL,
    resource_id  TEXT NOT NULL,
    operation    TEXT NOT NULL,
    public       BIGINT NOT NULL,
    last_updated BIGINT NOT NULL
);
CREATE INDEX changes_by_org ON changes (org, id);
CREATE INDEX changes_by_time ON changes (last_updated);
