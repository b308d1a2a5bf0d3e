-- A signed policy of a node counts in the place of its own. What the node says itself is kept apart
-- (own-policy), so that it counts again when the signed one is withdrawn; the part `policy` is what counts.
INSERT INTO node_parts (org, node_id, part, document, last_updated)
SELECT org, node_id, 'own-policy', document, last_updated FROM node_parts WHERE part = 'policy';
