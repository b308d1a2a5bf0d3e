-- When a login ends, where its token says so: known when it is written, so that a list decrypts nothing.
ALTER TABLE dockauths ADD COLUMN expires BIGINT;

-- Which logins a change of the key has still to rewrite.
CREATE INDEX dockauths_by_key ON dockauths (key_version, id);

-- What an organization has chosen that Horizon has no word for. A request by Horizon's paths, which replaces
-- the document of the organization, leaves it alone.
ALTER TABLE orgs ADD COLUMN plain_credentials TEXT NOT NULL DEFAULT 'served';
