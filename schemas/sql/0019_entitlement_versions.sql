-- A number for each organization that grows with every change of what decides about its pull credentials, other than
-- a node's own rows: documents, signed or not, accounts and settings. A decision holds as long as the number does.
-- Triggers keep it, so that no statement forgets it, and a cascade counts as well. A number is never used twice: it
-- outlives its organization.
CREATE TABLE entitlement_versions (
    org     TEXT PRIMARY KEY,
    version BIGINT NOT NULL
);

-- Takes organizations whose number is to grow.
CREATE VIEW entitlement_changes AS SELECT '' AS org;
CREATE TRIGGER entitlement_changes_apply INSTEAD OF INSERT ON entitlement_changes BEGIN
    INSERT INTO entitlement_versions (org, version) VALUES (NEW.org, 1)
    ON CONFLICT (org) DO UPDATE SET version = version + 1;
END;

CREATE TRIGGER signed_documents_insert_entitlement AFTER INSERT ON signed_documents BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER signed_documents_delete_entitlement AFTER DELETE ON signed_documents BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER signed_documents_update_entitlement AFTER UPDATE ON signed_documents BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER services_insert_entitlement AFTER INSERT ON services BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER services_delete_entitlement AFTER DELETE ON services BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER services_update_entitlement AFTER UPDATE OF owner, document ON services BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER service_policies_insert_entitlement AFTER INSERT ON service_policies BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER service_policies_delete_entitlement AFTER DELETE ON service_policies BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER service_policies_update_entitlement AFTER UPDATE OF document ON service_policies BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER patterns_insert_entitlement AFTER INSERT ON patterns BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER patterns_delete_entitlement AFTER DELETE ON patterns BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER patterns_update_entitlement AFTER UPDATE OF owner, document ON patterns BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER policies_insert_entitlement AFTER INSERT ON policies BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER policies_delete_entitlement AFTER DELETE ON policies BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER policies_update_entitlement AFTER UPDATE OF owner, document ON policies BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER users_insert_entitlement AFTER INSERT ON users BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER users_delete_entitlement AFTER DELETE ON users BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.org);
END;
CREATE TRIGGER users_update_entitlement AFTER UPDATE OF admin, hub_admin ON users BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.org);
END;
CREATE TRIGGER orgs_insert_entitlement AFTER INSERT ON orgs BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.id);
END;
CREATE TRIGGER orgs_delete_entitlement AFTER DELETE ON orgs BEGIN
    INSERT INTO entitlement_changes VALUES (OLD.id);
END;
CREATE TRIGGER orgs_update_entitlement AFTER UPDATE OF document, node_credentials, unsigned_documents ON orgs BEGIN
    INSERT INTO entitlement_changes VALUES (NEW.id);
END;
