-- When an API key expires, in milliseconds since 1970; NULL if it does not.
ALTER TABLE api_keys ADD COLUMN expires BIGINT;

-- The least number of characters of a new password, and of a new node token, in an organization.
ALTER TABLE orgs ADD COLUMN min_password_length BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orgs ADD COLUMN min_token_length BIGINT NOT NULL DEFAULT 0;
