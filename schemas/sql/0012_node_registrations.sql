-- What of a node decides which pull credentials it gets, and who set it: the node's own changes are kept apart, so
-- that a node token opens nothing that a user did not allow.
--
-- registered_pattern and the part `registered-policy` are the values that a user set last. pattern_by and policy_by
-- name that user (org/user; empty: none). registered_key is the public key that credentials are sealed to.
-- policy_sha256 is the signed policy that was published for this registration of the node.
ALTER TABLE nodes ADD COLUMN registered_pattern TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN pattern_by TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN policy_by TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN registered_key TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN policy_sha256 TEXT NOT NULL DEFAULT '';

-- Nodes from before this table existed count as registered by their owners.
UPDATE nodes SET registered_pattern = pattern, pattern_by = owner, registered_key = public_key;
UPDATE nodes SET policy_by = owner WHERE EXISTS (
    SELECT 1 FROM node_parts p WHERE p.org = nodes.org AND p.node_id = nodes.id AND p.part = 'own-policy');
UPDATE nodes SET policy_sha256 = COALESCE((
    SELECT d.sha256 FROM signed_documents d
    WHERE d.org = nodes.org AND d.document_key = 'node-policy/' || nodes.id
    ORDER BY d.epoch DESC, d.seq DESC LIMIT 1), '');
INSERT INTO node_parts (org, node_id, part, document, last_updated)
SELECT org, node_id, 'registered-policy', document, last_updated FROM node_parts WHERE part = 'own-policy';

-- Whose registrations entitle nodes to pull credentials, and whether documents without a signature of ours count.
ALTER TABLE orgs ADD COLUMN node_credentials TEXT NOT NULL DEFAULT 'admins';
ALTER TABLE orgs ADD COLUMN unsigned_documents TEXT NOT NULL DEFAULT 'ignored';
