//! Files with secrets: modes, links, and parts that are missing at start.
