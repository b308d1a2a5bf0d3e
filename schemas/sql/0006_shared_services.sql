-- The names of signed services of which some version is, or was, public: whoever imports from an
-- organization reads all their versions, withdrawn ones too.

CREATE TABLE shared_services (
    org  TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (org, name)
);
