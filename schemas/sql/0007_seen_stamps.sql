-- Which stamp each node has seen: two nodes with one number and two digests were shown two truths.

ALTER TABLE node_reports ADD COLUMN stamp_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node_reports ADD COLUMN stamp_sha256 TEXT NOT NULL DEFAULT '';
CREATE INDEX node_reports_by_stamp ON node_reports (org, stamp_seq, stamp_sha256);
