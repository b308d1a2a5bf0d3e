-- How much of each kind there is: rows, and the bytes of what is in them, for each organization ('org') and
-- for each holder in it ('org/user', 'org/node', 'org/service'). Triggers keep it, so that no statement
-- forgets it, and a cascade counts as well. A holder of nothing has no row.
CREATE TABLE usage (
    kind   TEXT NOT NULL,
    holder TEXT NOT NULL,
    count  BIGINT NOT NULL,
    bytes  BIGINT NOT NULL,
    PRIMARY KEY (kind, holder)
);

-- Takes changes of usage: for an organization, and for a holder unless it is NULL.
CREATE VIEW usage_changes AS SELECT '' AS kind, '' AS org, '' AS holder, 0 AS count, 0 AS bytes;
CREATE TRIGGER usage_changes_apply INSTEAD OF INSERT ON usage_changes BEGIN
    INSERT INTO usage (kind, holder, count, bytes)
    SELECT NEW.kind, holder, NEW.count, NEW.bytes
    FROM (SELECT NEW.org AS holder UNION ALL SELECT NEW.holder) WHERE holder IS NOT NULL
    ON CONFLICT (kind, holder) DO UPDATE
    SET count = count + excluded.count, bytes = bytes + excluded.bytes;
    DELETE FROM usage
    WHERE kind = NEW.kind AND holder IN (NEW.org, NEW.holder) AND count = 0 AND bytes = 0;
END;

CREATE TRIGGER services_insert_usage AFTER INSERT ON services BEGIN
    INSERT INTO usage_changes VALUES ('service', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
CREATE TRIGGER services_delete_usage AFTER DELETE ON services BEGIN
    INSERT INTO usage_changes VALUES ('service', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER services_update_usage AFTER UPDATE OF owner, document ON services BEGIN
    INSERT INTO usage_changes VALUES ('service', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('service', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'service', org, COUNT(*), SUM(octet_length(document)) FROM services GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'service', owner, COUNT(*), SUM(octet_length(document)) FROM services GROUP BY owner;

CREATE TRIGGER patterns_insert_usage AFTER INSERT ON patterns BEGIN
    INSERT INTO usage_changes VALUES ('pattern', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
CREATE TRIGGER patterns_delete_usage AFTER DELETE ON patterns BEGIN
    INSERT INTO usage_changes VALUES ('pattern', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER patterns_update_usage AFTER UPDATE OF owner, document ON patterns BEGIN
    INSERT INTO usage_changes VALUES ('pattern', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('pattern', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'pattern', org, COUNT(*), SUM(octet_length(document)) FROM patterns GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'pattern', owner, COUNT(*), SUM(octet_length(document)) FROM patterns GROUP BY owner;

CREATE TRIGGER policies_insert_usage AFTER INSERT ON policies BEGIN
    INSERT INTO usage_changes VALUES ('policy', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
CREATE TRIGGER policies_delete_usage AFTER DELETE ON policies BEGIN
    INSERT INTO usage_changes VALUES ('policy', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER policies_update_usage AFTER UPDATE OF owner, document ON policies BEGIN
    INSERT INTO usage_changes VALUES ('policy', OLD.org, OLD.owner, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('policy', NEW.org, NEW.owner, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'policy', org, COUNT(*), SUM(octet_length(document)) FROM policies GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'policy', owner, COUNT(*), SUM(octet_length(document)) FROM policies GROUP BY owner;

CREATE TRIGGER nodes_insert_usage AFTER INSERT ON nodes BEGIN
    INSERT INTO usage_changes VALUES ('node', NEW.org, NEW.owner, 1, octet_length(NEW.document) + octet_length(NEW.public_key));
END;
CREATE TRIGGER nodes_delete_usage AFTER DELETE ON nodes BEGIN
    INSERT INTO usage_changes VALUES ('node', OLD.org, OLD.owner, -1, -(octet_length(OLD.document) + octet_length(OLD.public_key)));
END;
CREATE TRIGGER nodes_update_usage AFTER UPDATE OF owner, document, public_key ON nodes BEGIN
    INSERT INTO usage_changes VALUES ('node', OLD.org, OLD.owner, -1, -(octet_length(OLD.document) + octet_length(OLD.public_key)));
    INSERT INTO usage_changes VALUES ('node', NEW.org, NEW.owner, 1, octet_length(NEW.document) + octet_length(NEW.public_key));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'node', org, COUNT(*), SUM(octet_length(document) + octet_length(public_key)) FROM nodes GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'node', owner, COUNT(*), SUM(octet_length(document) + octet_length(public_key)) FROM nodes GROUP BY owner;

CREATE TRIGGER agreements_insert_usage AFTER INSERT ON agreements BEGIN
    INSERT INTO usage_changes VALUES ('agreement', NEW.org, NEW.org || '/' || NEW.node_id, 1, octet_length(NEW.document));
END;
CREATE TRIGGER agreements_delete_usage AFTER DELETE ON agreements BEGIN
    INSERT INTO usage_changes VALUES ('agreement', OLD.org, OLD.org || '/' || OLD.node_id, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER agreements_update_usage AFTER UPDATE OF document ON agreements BEGIN
    INSERT INTO usage_changes VALUES ('agreement', OLD.org, OLD.org || '/' || OLD.node_id, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('agreement', NEW.org, NEW.org || '/' || NEW.node_id, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'agreement', org, COUNT(*), SUM(octet_length(document)) FROM agreements GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'agreement', org || '/' || node_id, COUNT(*), SUM(octet_length(document)) FROM agreements GROUP BY org || '/' || node_id;

CREATE TRIGGER node_parts_insert_usage AFTER INSERT ON node_parts BEGIN
    INSERT INTO usage_changes VALUES ('node-part', NEW.org, NEW.org || '/' || NEW.node_id, 1, octet_length(NEW.document));
END;
CREATE TRIGGER node_parts_delete_usage AFTER DELETE ON node_parts BEGIN
    INSERT INTO usage_changes VALUES ('node-part', OLD.org, OLD.org || '/' || OLD.node_id, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER node_parts_update_usage AFTER UPDATE OF document ON node_parts BEGIN
    INSERT INTO usage_changes VALUES ('node-part', OLD.org, OLD.org || '/' || OLD.node_id, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('node-part', NEW.org, NEW.org || '/' || NEW.node_id, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'node-part', org, COUNT(*), SUM(octet_length(document)) FROM node_parts GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'node-part', org || '/' || node_id, COUNT(*), SUM(octet_length(document)) FROM node_parts GROUP BY org || '/' || node_id;

CREATE TRIGGER node_reports_insert_usage AFTER INSERT ON node_reports BEGIN
    INSERT INTO usage_changes VALUES ('node-report', NEW.org, NULL, 1, octet_length(NEW.document));
END;
CREATE TRIGGER node_reports_delete_usage AFTER DELETE ON node_reports BEGIN
    INSERT INTO usage_changes VALUES ('node-report', OLD.org, NULL, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER node_reports_update_usage AFTER UPDATE OF document ON node_reports BEGIN
    INSERT INTO usage_changes VALUES ('node-report', OLD.org, NULL, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('node-report', NEW.org, NULL, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'node-report', org, COUNT(*), SUM(octet_length(document)) FROM node_reports GROUP BY org;

CREATE TRIGGER service_keys_insert_usage AFTER INSERT ON service_keys BEGIN
    INSERT INTO usage_changes VALUES ('service-key', NEW.org, NEW.org || '/' || NEW.holder, 1, octet_length(NEW.content));
END;
CREATE TRIGGER service_keys_delete_usage AFTER DELETE ON service_keys BEGIN
    INSERT INTO usage_changes VALUES ('service-key', OLD.org, OLD.org || '/' || OLD.holder, -1, -octet_length(OLD.content));
END;
CREATE TRIGGER service_keys_update_usage AFTER UPDATE OF content ON service_keys BEGIN
    INSERT INTO usage_changes VALUES ('service-key', OLD.org, OLD.org || '/' || OLD.holder, -1, -octet_length(OLD.content));
    INSERT INTO usage_changes VALUES ('service-key', NEW.org, NEW.org || '/' || NEW.holder, 1, octet_length(NEW.content));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'service-key', org, COUNT(*), SUM(octet_length(content)) FROM service_keys GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'service-key', org || '/' || holder, COUNT(*), SUM(octet_length(content)) FROM service_keys GROUP BY org || '/' || holder;

CREATE TRIGGER pattern_keys_insert_usage AFTER INSERT ON pattern_keys BEGIN
    INSERT INTO usage_changes VALUES ('pattern-key', NEW.org, NEW.org || '/' || NEW.holder, 1, octet_length(NEW.content));
END;
CREATE TRIGGER pattern_keys_delete_usage AFTER DELETE ON pattern_keys BEGIN
    INSERT INTO usage_changes VALUES ('pattern-key', OLD.org, OLD.org || '/' || OLD.holder, -1, -octet_length(OLD.content));
END;
CREATE TRIGGER pattern_keys_update_usage AFTER UPDATE OF content ON pattern_keys BEGIN
    INSERT INTO usage_changes VALUES ('pattern-key', OLD.org, OLD.org || '/' || OLD.holder, -1, -octet_length(OLD.content));
    INSERT INTO usage_changes VALUES ('pattern-key', NEW.org, NEW.org || '/' || NEW.holder, 1, octet_length(NEW.content));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'pattern-key', org, COUNT(*), SUM(octet_length(content)) FROM pattern_keys GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'pattern-key', org || '/' || holder, COUNT(*), SUM(octet_length(content)) FROM pattern_keys GROUP BY org || '/' || holder;

CREATE TRIGGER service_policies_insert_usage AFTER INSERT ON service_policies BEGIN
    INSERT INTO usage_changes VALUES ('service-policy', NEW.org, NULL, 1, octet_length(NEW.document));
END;
CREATE TRIGGER service_policies_delete_usage AFTER DELETE ON service_policies BEGIN
    INSERT INTO usage_changes VALUES ('service-policy', OLD.org, NULL, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER service_policies_update_usage AFTER UPDATE OF document ON service_policies BEGIN
    INSERT INTO usage_changes VALUES ('service-policy', OLD.org, NULL, -1, -octet_length(OLD.document));
    INSERT INTO usage_changes VALUES ('service-policy', NEW.org, NULL, 1, octet_length(NEW.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'service-policy', org, COUNT(*), SUM(octet_length(document)) FROM service_policies GROUP BY org;

CREATE TRIGGER dockauths_insert_usage AFTER INSERT ON dockauths BEGIN
    INSERT INTO usage_changes VALUES ('dockauth', NEW.org, NEW.org || '/' || NEW.service_id, 1, octet_length(NEW.token_sealed) + octet_length(NEW.username));
END;
CREATE TRIGGER dockauths_delete_usage AFTER DELETE ON dockauths BEGIN
    INSERT INTO usage_changes VALUES ('dockauth', OLD.org, OLD.org || '/' || OLD.service_id, -1, -(octet_length(OLD.token_sealed) + octet_length(OLD.username)));
END;
CREATE TRIGGER dockauths_update_usage AFTER UPDATE OF token_sealed, username ON dockauths BEGIN
    INSERT INTO usage_changes VALUES ('dockauth', OLD.org, OLD.org || '/' || OLD.service_id, -1, -(octet_length(OLD.token_sealed) + octet_length(OLD.username)));
    INSERT INTO usage_changes VALUES ('dockauth', NEW.org, NEW.org || '/' || NEW.service_id, 1, octet_length(NEW.token_sealed) + octet_length(NEW.username));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'dockauth', org, COUNT(*), SUM(octet_length(token_sealed) + octet_length(username)) FROM dockauths GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'dockauth', org || '/' || service_id, COUNT(*), SUM(octet_length(token_sealed) + octet_length(username)) FROM dockauths GROUP BY org || '/' || service_id;

CREATE TRIGGER users_insert_usage AFTER INSERT ON users BEGIN
    INSERT INTO usage_changes VALUES ('user', NEW.org, NULL, 1, octet_length(NEW.email));
END;
CREATE TRIGGER users_delete_usage AFTER DELETE ON users BEGIN
    INSERT INTO usage_changes VALUES ('user', OLD.org, NULL, -1, -octet_length(OLD.email));
END;
CREATE TRIGGER users_update_usage AFTER UPDATE OF email ON users BEGIN
    INSERT INTO usage_changes VALUES ('user', OLD.org, NULL, -1, -octet_length(OLD.email));
    INSERT INTO usage_changes VALUES ('user', NEW.org, NULL, 1, octet_length(NEW.email));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'user', org, COUNT(*), SUM(octet_length(email)) FROM users GROUP BY org;

CREATE TRIGGER api_keys_insert_usage AFTER INSERT ON api_keys BEGIN
    INSERT INTO usage_changes VALUES ('api-key', NEW.org, NEW.org || '/' || NEW.user_id, 1, octet_length(NEW.label) + octet_length(NEW.description));
END;
CREATE TRIGGER api_keys_delete_usage AFTER DELETE ON api_keys BEGIN
    INSERT INTO usage_changes VALUES ('api-key', OLD.org, OLD.org || '/' || OLD.user_id, -1, -(octet_length(OLD.label) + octet_length(OLD.description)));
END;
CREATE TRIGGER api_keys_update_usage AFTER UPDATE OF label, description ON api_keys BEGIN
    INSERT INTO usage_changes VALUES ('api-key', OLD.org, OLD.org || '/' || OLD.user_id, -1, -(octet_length(OLD.label) + octet_length(OLD.description)));
    INSERT INTO usage_changes VALUES ('api-key', NEW.org, NEW.org || '/' || NEW.user_id, 1, octet_length(NEW.label) + octet_length(NEW.description));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'api-key', org, COUNT(*), SUM(octet_length(label) + octet_length(description)) FROM api_keys GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'api-key', org || '/' || user_id, COUNT(*), SUM(octet_length(label) + octet_length(description)) FROM api_keys GROUP BY org || '/' || user_id;

CREATE TRIGGER signed_documents_insert_usage AFTER INSERT ON signed_documents BEGIN
    INSERT INTO usage_changes VALUES ('signed-document', NEW.org, NEW.owner, 1, octet_length(NEW.envelope));
END;
CREATE TRIGGER signed_documents_delete_usage AFTER DELETE ON signed_documents BEGIN
    INSERT INTO usage_changes VALUES ('signed-document', OLD.org, OLD.owner, -1, -octet_length(OLD.envelope));
END;
CREATE TRIGGER signed_documents_update_usage AFTER UPDATE OF owner, envelope ON signed_documents BEGIN
    INSERT INTO usage_changes VALUES ('signed-document', OLD.org, OLD.owner, -1, -octet_length(OLD.envelope));
    INSERT INTO usage_changes VALUES ('signed-document', NEW.org, NEW.owner, 1, octet_length(NEW.envelope));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'signed-document', org, COUNT(*), SUM(octet_length(envelope)) FROM signed_documents GROUP BY org;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'signed-document', owner, COUNT(*), SUM(octet_length(envelope)) FROM signed_documents GROUP BY owner;

-- Services that other organizations see.
CREATE TRIGGER services_insert_public_usage AFTER INSERT ON services WHEN NEW.public = 1 BEGIN
    INSERT INTO usage_changes
    VALUES ('public-service', NEW.org, NULL, 1, octet_length(NEW.document));
END;
CREATE TRIGGER services_delete_public_usage AFTER DELETE ON services WHEN OLD.public = 1 BEGIN
    INSERT INTO usage_changes
    VALUES ('public-service', OLD.org, NULL, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER services_update_public_usage AFTER UPDATE OF public, document ON services
WHEN NEW.public = 1 OR OLD.public = 1 BEGIN
    INSERT INTO usage_changes
    VALUES ('public-service', NEW.org, NULL, NEW.public - OLD.public,
            NEW.public * octet_length(NEW.document) - OLD.public * octet_length(OLD.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'public-service', org, COUNT(*), SUM(octet_length(document)) FROM services WHERE public = 1
GROUP BY org;

-- Organizations, of which the exchange as a whole is the holder.
CREATE TRIGGER orgs_insert_usage AFTER INSERT ON orgs BEGIN
    INSERT INTO usage_changes VALUES ('org', '', NULL, 1, octet_length(NEW.document));
END;
CREATE TRIGGER orgs_delete_usage AFTER DELETE ON orgs BEGIN
    INSERT INTO usage_changes VALUES ('org', '', NULL, -1, -octet_length(OLD.document));
END;
CREATE TRIGGER orgs_update_usage AFTER UPDATE OF document ON orgs BEGIN
    INSERT INTO usage_changes
    VALUES ('org', '', NULL, 0, octet_length(NEW.document) - octet_length(OLD.document));
END;
INSERT INTO usage (kind, holder, count, bytes)
SELECT 'org', '', COUNT(*), SUM(octet_length(document)) FROM orgs HAVING COUNT(*) > 0;
